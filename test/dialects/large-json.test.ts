import { setImmediate as nextTurn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { Json } from '../../src/dialects/json.ts'
import { LARGE_BYTES, parseAnyBody, parseLargeJson, writeLargeJson } from '../../src/dialects/large-json.ts'
import fc from '../support/fast-check.ts'

/** Strings as long as a slice and longer, of what is hard to cut. */
const long = fc
  .tuple(
    fc.constantFrom('a', '\\', '"', '\n', 'é', '漢', '🎉', '\u0000', '\ud83d', 'a🎉\\', '\\u00e9'),
    fc.constantFrom(1, 70_000, 530_000, 1_100_000),
    fc.string({ maxLength: 3 }),
  )
  .map(([piece, length, start]) => start + piece.repeat(Math.ceil(length / piece.length)))

const document = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null), long),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ maxLength: 5 }), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ) as fc.Arbitrary<Json>,
})).value

test('what is read and written in slices is what JSON itself reads and writes', async () => {
  await fc.assert(
    fc.asyncProperty(document, async (value) => {
      const text = JSON.stringify(value)
      expect((await writeLargeJson(value)).toString() === text).toBe(true)
      expect(await parseLargeJson(Buffer.from(text))).toEqual(JSON.parse(text))
    }),
    { numRuns: 60 },
  )
}, 60_000)

test('numbers keep their digits, and fields with hard names their values', async () => {
  const text = `{"seed":12345678901234567890,"__proto__":"${'x'.repeat(LARGE_BYTES)}","a":[1.50]}`
  const value = await parseAnyBody(Buffer.from(text))
  expect((await writeLargeJson(value)).toString() === text).toBe(true)
})

const filled = (text: string, bytes = LARGE_BYTES) => Buffer.from(`{"messages":[${text}]}${' '.repeat(bytes)}`)

describe('a large body', () => {
  test.each([
    ['lists', Array(200_000).fill('[]').join()],
    ['objects', Array(60_000).fill('{"a":1}').join()],
    ['fields', `{${Array.from({ length: 60_000 }, (_, index) => `"k${index}":1`).join()}}`],
    ['numbers', Array(600_000).fill('1').join()],
    ['long numbers', Array(30_000).fill('12345678901234567').join()],
    ['a name that is no name', `{"${'k'.repeat(LARGE_BYTES)}":1}`],
  ])('of too many %s is refused', async (_what, text) => {
    await expect(parseAnyBody(filled(text))).rejects.toMatchObject({ code: 'body_too_large' })
  })

  test.each([
    ['an open string', `"${'a'.repeat(LARGE_BYTES)}`],
    ['an open escape', `"${'a'.repeat(LARGE_BYTES)}\\`],
    ['a line end in a string', `"${'a\n'.repeat(LARGE_BYTES)}"`],
    ['an escape that is none', `"${'\\x'.repeat(LARGE_BYTES)}"`],
    ['no JSON', 'a'.repeat(LARGE_BYTES)],
    ['too deep a nest', '['.repeat(60_000) + ']'.repeat(60_000)],
  ])('with %s is refused', async (_what, text) => {
    await expect(parseAnyBody(Buffer.from(`{"a":${text}}${' '.repeat(LARGE_BYTES)}`))).rejects.toMatchObject({
      code: 'bad_request',
    })
  })

  /** How often others have their turn while a body of this text is read. */
  async function turnsWhileReading(content: string): Promise<number> {
    let turns = 0
    let isDone = false
    const counting = (async () => {
      for (; !isDone; turns++) await nextTurn()
    })()
    await parseAnyBody(filled(content))
    isDone = true
    await counting
    return turns
  }

  test('lets others have their turn many times', async () => {
    // One for each slice of half a megabyte.
    expect(await turnsWhileReading(`"${'\\u00e9'.repeat(2_000_000)}"`)).toBeGreaterThan(20)
  })

  test('of many short texts lets others have their turn as well', async () => {
    // Whoever looks at thirty megabytes byte by byte takes longer than five milliseconds four times.
    expect(
      await turnsWhileReading(
        Array(400_000)
          .fill(`"${'short '.repeat(11)}"`)
          .join(),
      ),
    ).toBeGreaterThan(4)
  })
})
