/** Frames whose long texts were redacted on another thread. */
import { expect, test } from 'vitest'
import { CallRedactor, type RedactedCall } from '../../src/gateway/call-redactor.ts'
import type { Finding } from '../../src/redaction/match.ts'
import { DEFAULT_POLICY } from '../../src/redaction/policy.ts'
import { Redactor } from '../../src/redaction/redactor.ts'

const PAD = 'x '.repeat(50_000)
const EMAIL = 'jane.canary@northwind-traders.com'
const NO_FIELDS = { names: new Set<string>(), opaque: {}, tools: new Set<string>() }
/** Only what the redactor passes on. */
const CALL = { id: null, caller: { agentId: 'w-1', runId: null } } as unknown as RedactedCall

function open() {
  const incidents = { recordAll: () => undefined, newInRequest: (findings: readonly Finding[]) => [...findings] }
  return new CallRedactor({ redactor: new Redactor(DEFAULT_POLICY), incidents }, CALL)
}

/** As another thread redacts it. */
function cleanedText(text: string): { text: string; found: ReturnType<CallRedactor['found']> } {
  const thread = open()
  const { value } = thread.longTexts({ value: text }, NO_FIELDS) as { value: string }
  return { text: value, found: thread.found() }
}

test('a finding at the end of a long text is left to who knows what follows, all others are redacted', () => {
  const { text, found } = cleanedText(`${EMAIL} ${PAD}${EMAIL}`)
  expect(text === `[EMAIL_REDACTED] ${PAD}${EMAIL}`).toBe(true)
  expect(found.count).toBe(1)
})

test('short texts stay as they are', () => {
  const text = `${EMAIL} is short`
  expect(cleanedText(text)).toMatchObject({ text, found: { count: 0 } })
})

test.each(['whole', 'again'] as const)('a text that is complete is redacted to its end (%s)', async (how) => {
  const { text, found } = cleanedText(`${EMAIL} ${PAD}${EMAIL}`)
  const redactor = open()
  const safe = await redactor.cleaned(found, () => redactor[how](text, 'reply'))
  expect(safe === `[EMAIL_REDACTED] ${PAD}[EMAIL_REDACTED]`).toBe(true)
})

test('a text that continues is redacted over the border, and its findings are counted once', async () => {
  const { text, found } = cleanedText(`${EMAIL} ${PAD}${EMAIL}`)
  const redactor = open()
  const first = await redactor.cleaned(found, () => redactor.push('channel', text, 'reply'))
  const rest = redactor.push('channel', '.au is mine', 'reply') + redactor.end('channel')
  expect(first + rest === `[EMAIL_REDACTED] ${PAD}[EMAIL_REDACTED] is mine`).toBe(true)
  expect(redactor.count).toBe(2)
})
