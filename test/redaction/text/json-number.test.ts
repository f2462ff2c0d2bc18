import { expect, test } from 'vitest'
import { DEFAULT_POLICY } from '../../../src/redaction/policy.ts'
import { Redactor } from '../../../src/redaction/redactor.ts'

const redactor = new Redactor(DEFAULT_POLICY)

test.each([
  ['a number', { phone: 6283541907 }],
  ['a list of numbers', { card: [1, 4539578763621486] }],
  ['JSON in a text', { body: JSON.stringify({ phone: 6283541907, n: 1 }) }],
  ['JSON in JSON in a text', { body: JSON.stringify({ inner: JSON.stringify({ phone: 6283541907 }) }) }],
  ['a text', { phone: '628-354-1907' }],
])('JSON parses when %s in it was replaced, whole and streamed', (_, value) => {
  const text = JSON.stringify(value)
  for (const isCode of [true, false]) {
    const safe = redactor.redact(text, { isCode }).text
    const stream = redactor.stream({ isCode })
    expect([...text].map((character) => stream.push(character)).join('') + stream.end()).toBe(safe)
    expect(safe).toMatch(/\[(?:PHONE|CREDIT_CARD)_REDACTED\]/)
    expect(safe).not.toMatch(/1907|1486/)
    const inner = (one: unknown): unknown =>
      typeof one === 'string' && one.startsWith('{') ? JSON.parse(one, (_name, item) => inner(item)) : one
    expect(() => JSON.parse(safe, (_name, item) => inner(item))).not.toThrow()
  }
})
