import { describe, expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'

const TEXT =
  'Ask Support@Partner.com or jane@partner.com, (415) 733-2671 or 415-733-2672, key ghp_Zx8Qw3Lk9Rt2Vb7Nm4Hj6Fd1Sa5Gc0PyKuTe.'

describe('values that are allowed', () => {
  const redactor = new Redactor({
    ...DEFAULT_POLICY,
    allowValues: ['support@partner.com', '415 733 2671', 'ghp_Zx8Qw3Lk9Rt2Vb7Nm4Hj6Fd1Sa5Gc0PyKuTe'],
  })
  const expected =
    'Ask Support@Partner.com or [EMAIL_REDACTED], (415) 733-2671 or [PHONE_REDACTED], key [SECRET_REDACTED].'

  test('are ignored however they are written; others and secrets are not', () => {
    expect(redactor.redact(TEXT).text).toBe(expected)
  })

  test('are so in pieces too', () => {
    const stream = redactor.stream()
    expect([...TEXT].map((character) => stream.push(character)).join('') + stream.end()).toBe(expected)
  })
})
