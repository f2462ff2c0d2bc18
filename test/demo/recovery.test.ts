import { describe, expect, test } from 'vitest'
import { openPlace } from '../cli/support.ts'

describe('the show in which LinkedIn comes back', () => {
  test('the show opens the circuit, lets one call probe, closes it and has live profiles to the end', async () => {
    const { code, out } = await openPlace().run(['demo', '--recovery', '--check', '--port', '0'])
    expect(out.split('\n').filter((line) => /^[✔✖]/.test(line) && !line.startsWith('✔'))).toEqual([])
    expect(out.match(/^✔/gm)).toHaveLength(8)
    expect(code).toBe(0)

    const inOrder = [
      'Circuit OPEN for linkedin_api after 5 failures',
      'lead 35: ',
      'Circuit HALF_OPEN for linkedin_api: one call probes\n  ├─ Probe: one call goes out',
      'Circuit CLOSED for linkedin_api: the probe succeeded\n  ├─ By: the probe',
      'lead 100: ',
    ]
    const places = inOrder.map((text) => out.indexOf(text))
    expect(places).toEqual(places.toSorted((a, b) => a - b))
    expect(places[0]).toBeGreaterThan(0)

    // The amounts that the audience sees are true: each cached profile, and no other, is a longer reading.
    const number = (pattern: RegExp) => Number(pattern.exec(out)?.[1])
    const degraded = number(/^Degraded \(fallback used\) +(\d+)$/m)
    const blocked = number(/^linkedin_api +(\d+) calls blocked$/m)
    expect(blocked).toBeGreaterThan(0)
    expect(degraded).toBe(blocked + 1)
    expect(number(/^Total +\$(\d+\.\d\d) of \$50\.00/m)).toBe(23 + 0.5 * degraded)
    expect(number(/^ {2}linkedin_api +(\d+) live/m)).toBe(100 - degraded)
    expect(out).not.toMatch(/^Circuit linkedin_api/m)
  })
})
