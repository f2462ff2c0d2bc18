import { describe, expect, test } from 'vitest'
import type { Json } from '../../src/dialects/json.ts'
import { decoded, parseLargeBody, requireFewParts } from '../../src/dialects/large-json.ts'
import fc from '../support/fast-check.ts'

/** Strings with all that could make a quote look like an end, or an end like none. */
const document = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(
      fc.string({ unit: fc.constantFrom('\\', '"', '[', ',', '1', 'é', '🎉') }),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ maxLength: 5 }), tie('value'), { maxKeys: 4, noNullPrototype: true }),
  ) as fc.Arbitrary<Json>,
})).value

test('the parser of large bodies agrees with JSON.parse', () => {
  fc.assert(
    fc.property(document, (value) => {
      expect(parseLargeBody(Buffer.from(JSON.stringify({ value })))).toEqual(JSON.parse(JSON.stringify({ value })))
    }),
    { numRuns: 300 },
  )
})

test('numbers keep their digits, and fields with hard names their values', () => {
  const text = '{"seed":12345678901234567890,"__proto__":"x","a":[1.50]}'
  expect(JSON.stringify(parseLargeBody(Buffer.from(text)))).toBe(text)
})

test('a character of several bytes is read whole wherever it stands', () => {
  const text = 'a漢🎉'.repeat(200_000)
  for (const start of ['', 'a', 'ab', 'abc']) expect(decoded(Buffer.from(start + text)) === start + text).toBe(true)
})

describe('a large body', () => {
  test.each([
    ['lists', Array(200_000).fill('[]').join()],
    ['objects', Array(60_000).fill('{"a":1}').join()],
    ['fields', `{${Array.from({ length: 60_000 }, (_, index) => `"k${index}":1`).join()}}`],
    ['fields with hard names', `{${Array(60_000).fill('"\\\\\\"":1').join()}}`],
    ['numbers', Array(600_000).fill('1').join()],
    ['long numbers', Array(30_000).fill('12345678901234567').join()],
  ])('a large body of too many %s is refused', (_what, text) => {
    const refused = expect.objectContaining({ code: 'body_too_large' })
    expect(() => parseLargeBody(Buffer.from(`{"messages":[${text}]}`))).toThrow(refused)
  })

  test('a large body may hold text that looks like parts', () => {
    const text = '[{"a":1},'.repeat(100_000)
    expect(parseLargeBody(Buffer.from(JSON.stringify({ text })))).toEqual({ text })
  })

  test('a large body may hold numbers by the million where it is a reply', () => {
    const vector = Buffer.from(`{"embedding":[${Array(2_000_000).fill('0.5').join()}]}`)
    expect(requireFewParts(vector, true)).toBe(false)
    expect(() => requireFewParts(vector, false)).toThrow('too many parts')
  })

  test.each([
    ['an open string', '"aaa'],
    ['an open escape', '"aaa\\'],
    ['a line end in a string', '"a\n"'],
    ['an escape that is none', '"\\x"'],
    ['no JSON', 'aaa'],
    ['too deep a nest', '['.repeat(60_000) + ']'.repeat(60_000)],
  ])('a large body with %s is refused', (_what, text) => {
    const refused = expect.objectContaining({ code: 'bad_request' })
    expect(() => parseLargeBody(Buffer.from(`{"a":${text}}`))).toThrow(refused)
  })
})
