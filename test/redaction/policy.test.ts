import { describe, expect, test } from 'vitest'
import { PII_TYPES } from '../../src/core/pii-types.ts'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { findPii, Redactor } from '../../src/redaction/redactor.ts'

const TEXT =
  'Ask Support@Partner.com or jane@partner.com, (415) 733-2671 or 415-733-2672, key ghp_Zx8Qw3Lk9Rt2Vb7Nm4Hj6Fd1Sa5Gc0PyKuTe.'

describe('values that are allowed', () => {
  const redactor = new Redactor({
    ...DEFAULT_POLICY,
    allowValues: ['support@partner.com', '415 733 2671', 'ghp_Zx8Qw3Lk9Rt2Vb7Nm4Hj6Fd1Sa5Gc0PyKuTe'],
  })
  const expected =
    'Ask Support@Partner.com or [EMAIL_REDACTED], (415) 733-2671 or [PHONE_REDACTED], key [SECRET_REDACTED].'

  test('allowed values are ignored however they are written; others and secrets are not', () => {
    expect(redactor.redact(TEXT).text).toBe(expected)
  })

  test('allowed values are ignored in pieces too', () => {
    const stream = redactor.stream()
    expect([...TEXT].map((character) => stream.push(character)).join('') + stream.end()).toBe(expected)
  })
})

describe('placeholders of the shape of a value', () => {
  const redactor = new Redactor({ ...DEFAULT_POLICY, detect: PII_TYPES, shapedWith: 'a key of a test' })
  const text = 'Jane: jane.roe@corp.com, +1 (415) 733-2671, SSN 536-22-8441, IP 10.11.12.13; Bob: bob@corp.com.'
  const safe = redactor.redact(text).text

  test('shaped placeholders have the shape of the value, and nothing of its content', () => {
    const email = String.raw`redacted-[0-9a-f]{8}@redacted\.example`
    const numbers = String.raw`\+1-\d{3}-555-01\d\d, SSN 900-00-\d{4}, IP 203\.0\.113\.\d+`
    expect(safe).toMatch(new RegExp(`^Jane: ${email}, ${numbers}; Bob: ${email}\\.$`))
  })

  test('shaped placeholders are equal for equal values, and differ for others', () => {
    const placeholder = (value: string) => redactor.redact(`Ask ${value} now`).text
    expect(placeholder('+1 415 733 2671')).toBe(placeholder('+1 (415) 733-2671'))
    expect(placeholder('Jane.Roe@corp.com')).toBe(placeholder('jane.roe@corp.com'))
    expect(placeholder('jane.roe@corp.com')).not.toBe(placeholder('bob@corp.com'))
    expect(safe).toContain(placeholder('bob@corp.com').split(' ')[1])
  })

  test('shaped placeholders are the same in pieces, and are left alone when they come again', () => {
    const stream = redactor.stream()
    expect([...text].map((character) => stream.push(character)).join('') + stream.end()).toBe(safe)
    expect(redactor.redact(safe)).toEqual({ text: safe, findings: [] })
    const again = redactor.stream()
    expect([...safe].map((character) => again.push(character)).join('') + again.end()).toBe(safe)
  })

  test('shaped placeholders pass the checks of their type: cards by Luhn, IBANs by their remainder', () => {
    const found = redactor.redact('Card 4111 1111 1111 1111, IBAN GB29 NWBK 6016 1331 9268 19').text
    expect(found).toMatch(/^Card 99990000000\d{5}, IBAN DE\d\d0{14}\d{4}$/)
    expect(findPii(found).map(({ type }) => type)).toEqual(['credit_card', 'iban'])
    expect(redactor.redact(found)).toEqual({ text: found, findings: [] })
    const seldom = redactor.redact(
      'From 2606:4700:4700::1111, MAC 3c:22:fb:12:34:56, born 1984-03-12, DOB: 1984-03-12',
    ).text
    expect(seldom).toMatch(
      /^From 2001:db8::[0-9a-f]{4}, MAC 00:00:5E:00:53:[0-9A-F]{2}, born 1900-01-01, DOB: 1900-01-01$/,
    )
    expect(redactor.redact(seldom)).toEqual({ text: seldom, findings: [] })
  })

  test('a type without a known range has labels as placeholders', () => {
    expect(redactor.redact('key sk-proj-abcdEFGH1234567890abcdEFGH1234567890').text).toBe('key [SECRET_REDACTED]')
  })
})
