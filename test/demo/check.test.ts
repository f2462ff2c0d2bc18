import { describe, expect, test } from 'vitest'
import { openPlace } from '../cli/support.ts'

describe('the rehearsal', () => {
  test('finds every checkpoint of a show met, also of a second one in the same folder', async () => {
    const place = openPlace()
    for (const _show of [1, 2]) {
      const { code, out } = await place.run(['demo', '--check', '--port', '0'])
      const printed = out.split('\n').filter((line) => /^[✔✖]/.test(line))
      expect(printed.filter((line) => line.startsWith('✖'))).toEqual([])
      expect(printed).toHaveLength(7)
      expect(code).toBe(0)
    }
  })

  test('prints each checkpoint that is not met, with what was expected, and exits 1', async () => {
    const { code, out } = await openPlace().run(['demo', '--check', '--budget', '30', '--port', '0'])
    expect(code).toBe(1)
    const wrong = out.split('\n').filter((line) => line.startsWith('✖'))
    expect(wrong.map((line) => line.slice(2, 18).trim())).toEqual(['lead 23', 'lead 85', 'the end'])
    expect(out).toMatch(/^ {18}\s*expected: warned at \$45\.07/m)
  })
})
