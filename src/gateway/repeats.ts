/** What shows that a conversation goes round in circles: its last message, and calls of tools with the same arguments. Pure. */
import { hash } from 'node:crypto'
import { isObject, type Json, type JsonObject } from '../dialects/json.ts'

export interface Repeats {
  /** Equal for equal requests; a conversation that grows has another one each time. */
  fingerprint: string
  /** The last tool that the model called, and how often in a row with the same arguments; null without one. */
  tool: { name: string; times: number } | null
}

/** Reads a request of any dialect. */
export function repeatsOf(body: JsonObject): Repeats {
  const conversation = body.messages ?? body.input ?? body.contents ?? body.prompt ?? null
  const items = Array.isArray(conversation) ? conversation : [conversation]
  const last = JSON.stringify([body.model, items.length, items.at(-1)])
  return { fingerprint: hash('sha1', last, 'base64'), tool: lastTool(items) }
}

/** Read from the end: calls and results of more rounds than are ever counted. */
const MAX_ITEMS = 130

function lastTool(items: readonly Json[]): Repeats['tool'] {
  const calls = items
    .slice(-MAX_ITEMS)
    .toReversed()
    .flatMap((item) => toolCallsOf(item).toReversed())
  const [last] = calls
  if (!last) return null
  const others = calls.findIndex(({ text }) => text !== last.text)
  return { name: last.name, times: others === -1 ? calls.length : others }
}

/** Those of one message or item, in order. */
function toolCallsOf(item: Json): { name: string; text: string }[] {
  if (!isObject(item)) return []
  const parts = [item, item.tool_calls, item.content, item.parts].flatMap((part) => part ?? [])
  return parts.flatMap((part) => {
    if (!isObject(part)) return []
    const call = part.function ?? part.functionCall ?? (/^(tool_use|function_call)$/.test(String(part.type)) && part)
    if (!isObject(call) || typeof call.name !== 'string') return []
    return [{ name: call.name, text: JSON.stringify([call.name, call.arguments ?? call.input ?? call.args]) }]
  })
}
