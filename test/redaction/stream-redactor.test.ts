import { describe, expect, test } from 'vitest'
import { PII_TYPES } from '../../src/core/pii-types.ts'
import { DEFAULT_POLICY, type Policy } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import fc from '../support/fast-check.ts'

const { array, assert, constantFrom, integer, property, record, string, subarray } = fc

/** Pieces of data, of separators, escapes and surroundings, and of similar texts. */
const PIECES = [
  'nora @ example .com . co.uk _ - -- + ( ) / : :: , ; " \' < > * [ ] { } $ = # % & \\ @@ 中文 é 😀 ＠ ＋１ ５５５',
  '(at) [at] [@] (dot) [dot] _at_ _dot_ gmail.com %40 %2E %2B \\u0040 \\n \\t &#64; &commat; dot at a d do AT DOT',
  '212 555 0187 1 +1 +44 20 7946 0958 0044 011 219-09-9998 536 90 4399 4242 4242424242424242 DE89 2125550187 123456789',
  'DE89370400440532013000 192.0.2.1 10 255 2001:db8:: ::1 fe80 %eth0 v1.2.3.4 12:30:45 1990-01-02 1-800- FLOWERS x44 ext',
  `${'sk'}- proj- Ab3dEf6hIj9kLm2nOp5q ${'ghp'}_ ${'AKIA'} IOSFODNN7QWERTYU eyJ hbGciOiJIUzI1NiJ9 .eyJzdWIiOiIx SG. _authToken=`,
  'password DB_PASSWORD= "token": => := <secret> </secret> Authorization: Basic --api-key curl -u value="c0rrect-h0rse" hunter2x9 ` api key',
  `Tel: Phone ( ) 555 123 4567 07700 900123 — – \u0022 \x1b[32m \\u001b[0m 。 ․ \u{e0041} \u2064 ٤٤ dapi JQQJ99 Q~ 00D ! | 1//0`,
  'DOB: 12.03.1985 March 12, 1985 CPF 111.444.777-35 12345678Z RSSMRA85T10A562S 00:1A:2B:3C:4D:5E bc1q 0x52908400 passport C01234567',
  '8~10 0~0 0011 001- 020 0491 570 156 044 668 18 00 01.99.00.12.34 ext. & &x= &amp; \nDB_PASSWORD=',
  'postgres:// https:// app: s3cr3t @db.example.com MIIEpAIBAAKC -us30 343ea45721923ed956e2b38c31db76aa 7213808860 :AAH1bjqp',
]
  .join(' ')
  .split(' ')
  .concat([
    ' ',
    ' ',
    ' ',
    '  ',
    '\n',
    '\t',
    '\u200b',
    '\u00ad',
    ' at ',
    ' dot ',
    ' @ ',
    ' . ',
    'SSN ',
    'phone ',
    'card ',
  ])
  .concat([
    '3704 0044 0532 0130 00',
    '-----BEGIN PRIVATE KEY-----',
    '-----END PRIVATE KEY-----',
    'a'.repeat(60),
    'b.'.repeat(30),
  ])

const texts = array(constantFrom(...PIECES), { minLength: 1, maxLength: 14 }).map((pieces) => pieces.join(''))
const policies = record({
  mode: constantFrom('redact' as const, 'warn' as const),
  detect: subarray(PII_TYPES, { minLength: 1 }),
  allowDomains: subarray(['example.com']),
}).map((choice): Policy => ({ ...DEFAULT_POLICY, ...choice }))
/** Lengths of chunks, used again from the beginning when there is more text. */
const cuts = array(integer({ min: 1, max: 24 }), { minLength: 1, maxLength: 8 })

function chunksOf(text: string, lengths: number[]): string[] {
  const chunks: string[] = []
  for (let at = 0, i = 0; at < text.length; i++) {
    const length = lengths[i % lengths.length] as number
    chunks.push(text.slice(at, at + length))
    at += length
  }
  return chunks
}

function redactInChunks(policy: Policy, chunks: string[]) {
  const stream = new Redactor(policy).stream()
  let text = ''
  for (const chunk of chunks) text += stream.push(chunk)
  return { text: text + stream.end(), findings: stream.findings }
}

describe('StreamRedactor', () => {
  test('a stream redactor gives the same text and findings as the whole text, for every cut', () => {
    assert(
      property(texts, policies, cuts, (text, policy, lengths) => {
        expect(redactInChunks(policy, chunksOf(text, lengths))).toEqual(new Redactor(policy).redact(text))
      }),
      { numRuns: 10_000 },
    )
  })

  test('a stream redactor agrees with the whole text character by character, for any text at all', () => {
    const policy = { ...DEFAULT_POLICY, detect: PII_TYPES }
    assert(
      property(string({ unit: 'binary', maxLength: 80 }), texts, (noise, text) => {
        for (const whole of [noise, text, noise + text]) {
          expect(redactInChunks(policy, whole.split(''))).toEqual(new Redactor(policy).redact(whole))
        }
      }),
      { numRuns: 2000 },
    )
  })

  test('a secret that ends where the next one begins to arrive is a separate finding', () => {
    const key = 'sk_test_4eC39HqLyjWDarjtT1zdp7dcA1'
    const cut = redactInChunks(DEFAULT_POLICY, [
      key.slice(0, 27),
      `${key.slice(27)} ${key.slice(0, 30)}`,
      key.slice(30),
    ])
    expect(cut).toEqual(new Redactor(DEFAULT_POLICY).redact(`${key} ${key}`))
    expect(cut.findings).toHaveLength(2)
  })

  test('the output at any moment is the beginning of the redacted text, so that no part of a datum is ever shown', () => {
    const policy = { ...DEFAULT_POLICY, detect: PII_TYPES }
    assert(
      property(texts, (text) => {
        const whole = new Redactor(policy).redact(text).text
        const stream = new Redactor(policy).stream()
        let shown = ''
        for (const character of text.split('')) {
          shown += stream.push(character)
          expect(whole.startsWith(shown)).toBe(true)
        }
      }),
      { numRuns: 2000 },
    )
  })

  test.each([
    ['a local part without end', 'x'.repeat(2000)],
    ['a domain without end', `nora@${'mail.'.repeat(400)}`],
    ['digits without end', '7'.repeat(2000)],
    ['groups of digits without end', '+49 1 2 3 4 5 6 7 8 9 '.repeat(90)],
    ['a header of a web token without end', `eyJ${'a'.repeat(2000)}`],
    ['a URL with a user without end', `https://${'u'.repeat(2000)}`],
    ['a URL with a password without end', `https://u:${'p'.repeat(2000)}`],
    ['a private key without end', `-----BEGIN PRIVATE KEY-----\n${'MIIEvQIB'.repeat(250)}`],
    ['spaces in an IBAN without end', `${'x'.repeat(90)} DE89${' '.repeat(2000)}`],
    ['invisible characters in an IBAN', `${'x.'.repeat(50)}DE8${'\u200b\u200b\u200b\u200b1'.repeat(400)}`],
    ['brackets without end', '(+[<'.repeat(500) + '('.repeat(1000)],
    ['invisible characters without end', `212\u200b${'\u200b'.repeat(2000)}`],
    ['spelled names without end', 'a dot '.repeat(400)],
  ])('a stream redactor holds back at most 320 characters: %s', (_, text) => {
    const stream = new Redactor({ ...DEFAULT_POLICY, mode: 'warn', detect: PII_TYPES }).stream()
    let shown = 0
    let held = 0
    for (let i = 0; i < text.length; i++) {
      shown += stream.push(text.charAt(i)).length
      held = Math.max(held, i + 1 - shown)
    }
    expect(held).toBeLessThanOrEqual(320)
  })

  test('streams whose pieces come in turns know nothing of one another', () => {
    const [one, other] = [new Redactor(DEFAULT_POLICY).stream(), new Redactor(DEFAULT_POLICY).stream()]
    let [shown, otherShown] = ['', '']
    for (const character of 'nora@example.com! ') {
      shown += one.push(character)
      otherShown += other.push(character === '@' ? ' ' : character)
    }
    expect(shown + one.end()).toBe('[EMAIL_REDACTED]! ')
    expect(otherShown + other.end()).toBe('nora example.com! ')
  })

  test('a tilde within a secret does not cut it', () => {
    const text = `a ${'8Q~'.repeat(10)}passport7 z`
    expect(redactInChunks(DEFAULT_POLICY, text.split(''))).toEqual(new Redactor(DEFAULT_POLICY).redact(text))
  })

  test('prose is held back by a word, not by a sentence', () => {
    const words = 'The quick brown fox jumps over the lazy dog, and nobody is redacted.'.split(/(?= )/)
    const stream = new Redactor(DEFAULT_POLICY).stream()
    const shown = words.map((word) => stream.push(word))
    expect(shown.slice(0, 4)).toEqual(['', 'The ', 'quick ', 'brown '])
  })

  test('a secret is replaced as soon as it is certain, and its rest never comes out', () => {
    const stream = new Redactor(DEFAULT_POLICY).stream()
    expect(stream.push(`key ${'ghp'}_wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx`)).toBe('key [SECRET_REDACTED]')
    expect(stream.push('AndMoreOfIt')).toBe('')
    expect(stream.findings).toEqual([])
    expect(stream.push(' end.')).toBe(' ')
    expect(stream.findings.map(({ value }) => value)).toEqual(['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AndMoreOfIt'])
    expect(stream.end()).toBe('end.')
  })

  test('the end of an aborted stream still reports its last finding', () => {
    const stream = new Redactor(DEFAULT_POLICY).stream()
    expect(stream.push('nora@exam')).toBe('')
    expect(stream.push('ple.com')).toBe('')
    stream.end()
    expect(stream.findings.map(({ value }) => value)).toEqual(['nora@example.com'])
  })

  test('the halves of a surrogate pair come out together', () => {
    const stream = new Redactor(DEFAULT_POLICY).stream()
    expect(stream.push(' \ud83d')).toBe(' ')
    expect(stream.push('\ude00 ')).toBe('😀 ')
  })
})
