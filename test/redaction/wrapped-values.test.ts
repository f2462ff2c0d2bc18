import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { found } from '../support/found.ts'

const KEY = `${'ghp'}_wWPw5k4aXcaT4fNP0UcnZwJUVFk6LO0pINUx`
const VALUES = [
  'email:jane.doe@example.com',
  'email:jane@example.co.uk',
  'phone:415-733-2671',
  'phone:+1 415-733-2671',
  'ssn:536-22-1234',
  'credit_card:4111 1111 1111 1111',
  'iban:DE89 3704 0044 0532 0130 00',
  'ip:203.0.113.7',
  'ip:2001:db8::5054:ff:fe1b:b031',
  `secret:${KEY}`,
]

/** Text directly before and directly behind a value. */
const WRAPPERS: [before: string, after: string][] = [
  ['before ', '—after'],
  ['before—', '—after'],
  ['before ', '–after'],
  ['before ', '- after'],
  ['<!--', '-->'],
  ['(', ')'],
  ['(', ', after)'],
  ['[text](', ')'],
  ['\u001b[32m', '\u001b[0m'],
  ['id=\u001b[1;33m', '\u001b[22m;'],
  ['"\\u001b[32m', '\\u001b[0m"'],
  ['{"text":"before\\n', '\\nafter"}'],
  ['{"text":"before\\t', '"}'],
  ['\\u0022', '\\u0022'],
  ['\\u003c', '\\u003e'],
  ['q=%20', '%20'],
  ['q=%22', '%22'],
  ['请联系', '谢谢'],
  ['番号は', 'です'],
  ['**', '**'],
  ['_', '_'],
  ['`', '`'],
]
const cases = WRAPPERS.flatMap(([before, after]) => VALUES.map((value) => [before, after, value] as const))

describe('a value is found directly beside any character', () => {
  test.each(cases)('%j, %j: %s', (before, after, value) => {
    const text = before + value.slice(value.indexOf(':') + 1) + after
    expect(found(text)).toEqual([value])
  })
})

describe('characters that hide a value from a program and not from a reader', () => {
  const cleaned = (text: string) => new Redactor(DEFAULT_POLICY).redact(text).text

  test.each([
    ['word joiner', 'jane\u2060@example.com'],
    ['invisible plus', 'ja\u2064ne@exam\u2064ple.com'],
    ['tag characters', 'jane\u{e0041}\u{e0042}@exam\u{e0020}ple.com'],
    ['variation selectors', 'jane\ufe0f@example.com'],
    ['backspace', 'jane@corp\u0008example.com'],
    ['ideographic full stop', 'jane@example。com'],
    ['half-width full stop', 'jane@example｡com'],
    ['one dot leader', 'jane@example․com'],
  ])('e-mail: %s', (_, text) => {
    expect(cleaned(`to ${text} now`)).toBe('to [EMAIL_REDACTED] now')
  })

  test('a braille blank between digits is a space', () => {
    expect(cleaned('call 415\u2800733\u28002671')).toBe('call [PHONE_REDACTED]')
  })

  test('an ideographic full stop behind an address ends the sentence', () => {
    expect(cleaned('联系jane@example.com。谢谢')).toBe('联系[EMAIL_REDACTED]。谢谢')
  })

  test('emoji stay whole', () => {
    expect(cleaned('🐀jane@example.com🐀 ok 🏴\u{e0067}\u{e007f}')).toBe('🐀[EMAIL_REDACTED]🐀 ok 🏴\u{e0067}\u{e007f}')
  })
})
