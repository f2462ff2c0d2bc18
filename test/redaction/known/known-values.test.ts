import { expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../../src/redaction/policy.ts'
import { Redactor } from '../../../src/redaction/redactor.ts'
import fc from '../../support/fast-check.ts'

const redactorOf = (...values: string[]): Redactor => {
  const redactor = new Redactor(DEFAULT_POLICY)
  redactor.know(values.map((value) => ({ value })))
  return redactor
}

test.each([
  ['a word that is an unlikely secret', 'hunter2-hunter2', 'Use hunter2-hunter2 now.', 'Use [SECRET_REDACTED] now.'],
  ['twice without a space', 'sesame42', 'sesame42sesame42', '[SECRET_REDACTED][SECRET_REDACTED]'],
  ['within JSON', 'two\nlines "quoted"', '{"a":"two\\nlines \\"quoted\\""}', '{"a":"[SECRET_REDACTED]"}'],
  ['by one of its lines', 'Xq0-second-line-of-a-key\nrest', '1: Xq0-second-line-of-a-key', '1: [SECRET_REDACTED]'],
  [
    'in the middle of an address',
    'hunter2secret',
    'bob.hunter2secret@example.org',
    'bob.[SECRET_REDACTED]@example.org',
  ],
  [
    'that goes on where an address ends',
    'example.org/s3cr3t-path',
    'ann@example.org/s3cr3t-path!',
    '[EMAIL_REDACTED]!',
  ],
  ['but not a shorter one', 'abcdefg', 'abcdefg', 'abcdefg'],
  ['but not one with another character', 'sesame42', 'sesame43', 'sesame43'],
])('a value of the vault is found %s', (_, value, text, expected) => {
  expect(redactorOf(value).redact(text).text).toBe(expected)
})

test('the longest of several values that begin alike is taken', () => {
  const redactor = redactorOf('sesame42-open', 'sesame42-open-wide')
  expect(redactor.redact('sesame42-open-wide sesame42-open-wi').text).toBe('[SECRET_REDACTED] [SECRET_REDACTED]-wi')
})

test('values are forgotten when they are replaced', () => {
  const redactor = redactorOf('sesame42')
  redactor.know([])
  expect(redactor.redact('sesame42').text).toBe('sesame42')
})

const VALUES = ['sesame42', 'sesame42-sesame42', 'example.org/s3cr3t', 'sk-ab"c\nd4567', '+1 415 55', 'ééééééé🗝🗝']
const piece = fc.oneof(
  fc.constantFrom(...VALUES, ...VALUES.map((value) => value.slice(0, -1)), ...VALUES.map((value) => value.slice(1))),
  fc.constantFrom('ann@example.org', ' ', '@', 's', 'se', '+1 415 555 2671', 'sk-', '"', 'bob [at] example.org', '🗝'),
  fc.string({ maxLength: 4 }),
)

test('however a text is cut, the same is found, and no value is left in it', () => {
  const redactor = redactorOf(...VALUES)
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), fc.array(fc.nat(200), { maxLength: 8 }), (pieces, cuts) => {
      const text = pieces.join('')
      const whole = redactor.redact(text)
      const stream = redactor.stream()
      const places = [...new Set(cuts.filter((cut) => cut < text.length))].sort((one, other) => one - other)
      let out = ''
      let from = 0
      for (const place of places) {
        out += stream.push(text.slice(from, place))
        from = place
      }
      out += stream.end(text.slice(from))
      expect(out).toBe(whole.text)
      expect(stream.findings).toEqual(whole.findings)
      for (const value of VALUES) expect(whole.text).not.toContain(value)
    }),
    { numRuns: 3_000 },
  )
})
