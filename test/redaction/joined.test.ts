import { describe, expect, test } from 'vitest'
import { redactJoined } from '../../src/redaction/joined.ts'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'

const redactor = new Redactor(DEFAULT_POLICY)

describe('a text in several parts', () => {
  test.each([
    [
      ['Write to jane@exa', 'mple.com now'],
      ['Write to [EMAIL_REDACTED]', ' now'],
    ],
    [
      ['jane@', 'exam', 'ple.com', '!'],
      ['[EMAIL_REDACTED]', '', '', '!'],
    ],
    [
      ['a jane@exa', 'mple.com, or bob@exa', 'mple.org'],
      ['a [EMAIL_REDACTED]', ', or [EMAIL_REDACTED]', ''],
    ],
  ])('a text in parts like %j loses values that cross its borders', (parts, safe) => {
    expect(redactJoined(redactor, parts)?.parts).toEqual(safe)
  })

  test.each([
    [['Hello ', 'there']],
    [['jane@example.com ', 'is within a part']],
    [['jane@example.com', 'Hello']],
    [['bob@example.org', 'jane@example.com', 'co']],
  ])('a text in parts like %j is left alone', (parts) => {
    expect(redactJoined(redactor, parts)).toBeUndefined()
  })

  test('a finding in warn mode is kept and reported', () => {
    const warning = new Redactor({ ...DEFAULT_POLICY, mode: 'warn' })
    const { parts, findings } = redactJoined(warning, ['jane@exa', 'mple.com'])!
    expect(parts).toEqual(['jane@exa', 'mple.com'])
    expect(findings).toMatchObject([{ type: 'email', start: 0, end: 16 }])
  })
})
