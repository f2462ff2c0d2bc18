/** A rehearsal that meets every checkpoint is in test/demo.test.ts. */
import { describe, expect, test } from 'vitest'
import { openPlace } from '../cli/support.ts'

describe('the rehearsal', () => {
  test('the rehearsal prints each failed checkpoint with the expected value, and exits 1', async () => {
    const { code, out } = await openPlace().run(['demo', '--check', '--budget', '30', '--port', '0'])
    expect(code).toBe(1)
    const wrong = out.split('\n').filter((line) => line.startsWith('✖'))
    expect(wrong.map((line) => line.slice(2, 18).trim())).toEqual(['lead 23', 'lead 85', 'the end'])
    expect(out).toMatch(/^ {18}\s*expected: warned at \$45\.07/m)
  })
})
