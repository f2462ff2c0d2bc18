/**
 * The texts of a request, redacted before it is priced and sent, when the policy covers requests. All dialects at once:
 * what people and tools said stands in few fields. Images, ids and signed thoughts are left as they are.
 */

import { isObject, type Json, type JsonObject } from '../dialects/json.ts'
import { changeTexts } from '../dialects/texts.ts'
import { PiiBlockedError } from '../errors.ts'
import type { PiiType } from '../events.ts'
import { Findings } from '../redaction/findings.ts'
import type { LlmCall } from './call.ts'
import { failClosed, type RedactionParts } from './call-redactor.ts'

/** The call without what the policy takes out. Throws PiiBlockedError, CageError `redaction_failed`: nothing is sent then. */
export function redactRequest({ redactor, incidents }: RedactionParts, call: LlmCall): LlmCall {
  if (!redactor.covers('requests')) return call
  const { agentId } = call.caller
  const blocked = new Set<PiiType>()
  const found = new Findings()
  const redact = (text: string): string => {
    const { text: safe, findings } = redactor.redact(text)
    for (const { action, type } of findings) if (action === 'block') blocked.add(type)
    found.add(incidents.newInRequest(findings, agentId))
    return safe
  }
  const body = failClosed(() => redactBody(call.body, redact), 'the request')
  incidents.recordAll(found, { agentId, callId: call.id, place: 'request' })
  if (blocked.size > 0) throw new PiiBlockedError([...blocked], 'request')
  return { ...call, body }
}

/** Fields of a body in which something is said. */
const SAID = ['messages', 'system', 'input', 'instructions', 'prompt', 'suffix']
/** Fields below them that hold text. */
const TEXTS = new Set([...SAID, 'content', 'text', 'arguments', 'output', 'refusal', 'reasoning_content'])
/** Changed ones are refused by the provider that signed them. */
const SIGNED = new Set(['thinking', 'redacted_thinking', 'reasoning'])

function redactBody(body: JsonObject, redact: (text: string) => string): JsonObject {
  const said = Object.entries(body).filter(([name]) => SAID.includes(name))
  return {
    ...body,
    ...Object.fromEntries(said.map(([name, value]) => [name, redactSaid(value as Json, name, redact)])),
  }
}

function redactSaid(value: Json, name: string, redact: (text: string) => string): Json {
  if (typeof value === 'string') return TEXTS.has(name) ? redact(value) : value
  if (Array.isArray(value)) return value.map((item) => redactSaid(item, name, redact))
  if (!isObject(value) || SIGNED.has(String(value.type))) return value
  // What a tool was given may be in any field.
  if (value.type === 'tool_use' && value.input !== undefined)
    return { ...value, input: changeTexts(value.input, redact) }
  return Object.fromEntries(
    Object.entries(value).map(([field, item]) => [field, item === undefined ? item : redactSaid(item, field, redact)]),
  )
}
