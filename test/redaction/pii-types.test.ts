import { describe, expect, test } from 'vitest'
import { PII, PII_TYPES } from '../../src/core/pii-types.ts'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'
import { StreamRedactor } from '../../src/redaction/stream-redactor.ts'

describe.each(PII_TYPES)('the example of %s', (type) => {
  const { example, label = 'value' } = PII[type]
  const policy = { ...DEFAULT_POLICY, detect: [type] }
  const replacement = `[${type.toUpperCase()}_REDACTED]`
  const texts = {
    'a sentence': [`For Jane, ${label}: `, example, ' as of today.'],
    JSON: [`{"name":"Jane","${label}":"`, example, '","age":41}'],
    'JSON in a string': [`{"arguments":"{\\"${label}\\":\\"`, example, '\\"}"}'],
  }

  test.each(Object.entries(texts))('the example is found whole and streamed in %s', (_, [before, value, behind]) => {
    const text = before! + value! + behind!
    const expected = before! + replacement + behind!
    expect(new Redactor(policy).redact(text).text).toBe(expected)
    for (const size of [1, 7]) {
      const stream = new StreamRedactor(policy)
      const chunks = text.match(new RegExp(`.{1,${size}}`, 'gs'))!
      expect(chunks.map((chunk) => stream.push(chunk)).join('') + stream.end()).toBe(expected)
    }
  })
})

/** Those that JSON may contain as a number, behind the name of their field. */
const NUMBERS = [
  ['phone', 'phone', '4155550132'],
  ['ssn', 'ssn', '219099999'],
  ['credit_card', 'card', '4111111111111111'],
  ['national_id', 'nhs_number', '9434765919'],
  ['document_number', 'passport', '123456789'],
] as const

test.each(NUMBERS)('a %s is found as a number of JSON, and the rest is still JSON', (type, field, digits) => {
  const { text } = new Redactor({ ...DEFAULT_POLICY, detect: [type] }).redact(`{"${field}":${digits},"age":41}`)
  expect(JSON.parse(text)).toEqual({ [field]: `[${type.toUpperCase()}_REDACTED]`, age: 41 })
})
