import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { scrubTexts } from '../../src/state/clean.ts'

const redactor = new Redactor(DEFAULT_POLICY)
const clean = <T>(value: T): T => scrubTexts(value, (text) => redactor.redact(text).text)
const EMAIL = 'jane@northwind-traders.com'

describe('the last scrub of events and audit rows', () => {
  test('the last scrub removes personal data from texts, field names and numbers, however deep', () => {
    expect(
      clean({ text: `Ask ${EMAIL}`, facts: { [EMAIL]: [{ card: 4539148803436467 }, { deep: { key: EMAIL } }] } }),
    ).toEqual({
      text: 'Ask [EMAIL_REDACTED]',
      facts: {
        '[EMAIL_REDACTED]': [{ card: '[CREDIT_CARD_REDACTED]' }, { deep: { key: '[EMAIL_REDACTED]' } }],
      },
    })
  })

  test('the scrub keeps generated values: ids, hashes, amounts, times, counts', () => {
    const event = {
      agent_id: 'lg-7a3f9c2d',
      call_id: 'call-4539148803436467',
      value_hash: '4155550182'.repeat(6),
      cost_usd: '4539148803436467',
      starts_at: '2026-01-01T00:00:00.000Z',
      latency_ms: 1234,
      input_tokens: 100_000,
      ok: true,
      reason: null,
      missing: undefined,
    }
    expect(clean(event)).toEqual(event)
  })

  test('the scrub scans a value longer than an id under any name', () => {
    expect(clean({ note_id: `${'x '.repeat(40)}${EMAIL}` }).note_id).toContain('[EMAIL_REDACTED]')
  })

  test('the last scrub withholds a text that cannot be scanned', () => {
    const broken = () => {
      throw new Error('no')
    }
    expect(scrubTexts({ text: 'long enough' }, broken)).toEqual({ text: '[withheld: it could not be redacted]' })
  })
})
