import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY, type Policy } from '../../src/redaction/policy.ts'
import { Redactor, toSpans } from '../../src/redaction/redactor.ts'

const redactor = (policy: Partial<Policy> = {}) => new Redactor({ ...DEFAULT_POLICY, ...policy })

describe('Redactor', () => {
  test('the redactor puts the name of the type in place of each value', () => {
    const text =
      'nora@example.com 212-555-0187 536-90-4399 4242424242424242 DE89370400440532013000 192.0.2.1 postgres://a:s3cr3t@db'
    expect(redactor({ detect: [...DEFAULT_POLICY.detect, 'ip'] }).redact(text).text).toBe(
      '[EMAIL_REDACTED] [PHONE_REDACTED] [SSN_REDACTED] [CREDIT_CARD_REDACTED] [IBAN_REDACTED] [IP_REDACTED] ' +
        'postgres://a:[SECRET_REDACTED]@db',
    )
  })

  test('a finding has its position in the original text and its action', () => {
    expect(redactor().redact('Hi nora@example.com').findings).toEqual([
      {
        type: 'email',
        start: 3,
        end: 19,
        value: 'nora@example.com',
        risk: 'HIGH',
        action: 'redact',
        replacement: '[EMAIL_REDACTED]',
      },
    ])
  })

  test('the redactor finds a value at the end of a long text', () => {
    const prose = 'Nothing to see here. 中文 '.repeat(8000)
    expect(redactor().redact(`${prose}nora@example.com`).text).toBe(`${prose}[EMAIL_REDACTED]`)
  })

  test('a text without findings stays as it is', () => {
    expect(redactor().redact('Order 112-5550132-4155550 😀\n')).toEqual({
      text: 'Order 112-5550132-4155550 😀\n',
      findings: [],
    })
  })

  test('addresses of networks are left alone unless asked for', () => {
    expect(redactor().redact('192.0.2.1').findings).toEqual([])
  })

  test('warn leaves the value, block takes it out, each type its own way', () => {
    const { text, findings } = redactor({ mode: 'warn', modes: { ssn: 'block' } }).redact('a@example.com 536-90-4399')
    expect(text).toBe('a@example.com [SSN_REDACTED]')
    expect(findings.map(({ type, action }) => `${type} ${action}`)).toEqual(['email warn', 'ssn block'])
  })

  test('allowed domains and their subdomains are left alone, others that end alike are not', () => {
    const text =
      'a@Example.com b@mail.example.com c@badexample.com d%40example%2Ecom e [at] example [dot] com f@example.com.evil.org'
    const { text: safe, findings } = redactor({ allowDomains: ['example.COM'] }).redact(text)
    expect(safe).toBe(
      'a@Example.com b@mail.example.com [EMAIL_REDACTED] d%40example%2Ecom e [at] example [dot] com [EMAIL_REDACTED]',
    )
    expect(findings.map(({ value }) => value)).toEqual(['c@badexample.com', 'f@example.com.evil.org'])
  })

  test('the redactor scrubs a text again when the policy or the secrets have changed', () => {
    const one = redactor()
    const text = 'host 192.0.2.1, key tr0ub4dor-and-3'
    expect(one.clean(text)).toBe(text)
    one.know([{ value: 'tr0ub4dor-and-3' }])
    expect(one.clean(text)).toBe('host 192.0.2.1, key [SECRET_REDACTED]')
    one.know([])
    expect(one.clean(text)).toBe(text)
    one.follow({ ...DEFAULT_POLICY, detect: ['ip'] })
    expect(one.clean(text)).toBe('host [IP_REDACTED], key tr0ub4dor-and-3')
  })
})

test('toSpans speaks as `scan --jsonl` does', () => {
  expect(toSpans('card 4242 4242 4242 4242')).toEqual({ spans: [{ type: 'CREDIT_CARD', start: 5, end: 24 }] })
})
