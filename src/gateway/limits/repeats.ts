/**
 * What a request shows of an agent's progress: its last message, and the calls of tools in it. By these loops are
 * noticed (`loop-detector.ts`) and calls of tools are counted (`tool-limits.ts`). Pure.
 */
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { isObject, type Json, type JsonObject } from '../../dialects/json.ts'

export interface Repeats {
  /** Equal for equal requests; a conversation that grows has another one each time. */
  fingerprint: string
  /** The last tool that the model called, and how often in a row with the same arguments; null without one. */
  tool: { name: string; times: number } | null
  /** Calls of tools, and results of calls that are not shown. */
  toolCalls: ToolCall[]
}

export interface ToolCall {
  /** Equal for the same call in a later request. */
  id: string
  /** Null for a result, which does not name its tool. */
  name: string | null
}

/** Reads a request of any dialect. */
export function repeatsOf(body: JsonObject): Repeats {
  const conversation = body.messages ?? body.input ?? body.contents ?? body.prompt ?? null
  const items = Array.isArray(conversation) ? conversation : [conversation]
  const last = JSON.stringify([body.model, items.length, shortened(items.at(-1))])
  const calls = items.slice(-MAX_ITEMS).map(toolCallsOf)
  const first = Math.max(0, items.length - MAX_ITEMS)
  return {
    fingerprint: last.length > MAX_FINGERPRINT ? hash('sha1', last, 'base64') : last,
    tool: lastTool(calls.flat()),
    toolCalls: calls.flatMap((ofItem, index) =>
      ofItem.map(({ id, name, text }) => ({ id: id ?? `${first + index} ${text}`, name })),
    ),
  }
}

/** Returns an item with its long texts as checksums: writing them as JSON takes eight times as long, a hash twice. */
function shortened(item: Json | undefined): Json | undefined {
  if (typeof item === 'string') return item.length > MAX_WRITTEN ? `${item.length} ${crc32(item)}` : item
  if (Array.isArray(item)) return item.map((part) => shortened(part) ?? null)
  return isObject(item) ? { ...item, content: shortened(item.content), text: shortened(item.text) } : item
}

/** In characters. */
const MAX_WRITTEN = 1_000
/** In characters: shorter ones are not worth a hash. */
const MAX_FINGERPRINT = 120

/** Read from the end: calls and results of more rounds than are ever counted. */
const MAX_ITEMS = 130

function lastTool(all: readonly ShownCall[]): Repeats['tool'] {
  const calls = all.filter(isNamed).toReversed()
  const [last] = calls
  if (!last) return null
  const others = calls.findIndex(({ text }) => text !== last.text)
  return { name: last.name, times: others === -1 ? calls.length : others }
}

interface ShownCall {
  /** Undefined in dialects without ids. */
  id: string | undefined
  name: string | null
  /** Its name and arguments. */
  text: string
}

const isNamed = (call: ShownCall): call is ShownCall & { name: string } => call.name !== null

const CALL = /^((mcp_|server_)?tool_use|function_call|mcp_call)$/
const RESULT = /^((mcp_)?tool_result|function_call_output)$/

/** Those of one message or item, in order. */
function toolCallsOf(item: Json): ShownCall[] {
  if (!isObject(item)) return []
  const shown: ShownCall[] = []
  for (const parts of [item, item.tool_calls, item.content, item.parts]) {
    // By loops: most messages have none, and every call reads them.
    if (!Array.isArray(parts)) addToolCall(shown, parts)
    else for (const part of parts) addToolCall(shown, part)
  }
  return shown
}

function addToolCall(shown: ShownCall[], part: Json | undefined): void {
  if (!isObject(part)) return
  const type = typeof part.type === 'string' ? part.type : ''
  const resultOf = part.tool_call_id ?? (RESULT.test(type) ? (part.tool_use_id ?? part.call_id) : undefined)
  if (typeof resultOf === 'string') {
    shown.push({ id: resultOf, name: null, text: '' })
    return
  }
  const call = part.function ?? part.functionCall ?? (CALL.test(type) && part)
  if (!isObject(call) || typeof call.name !== 'string') return
  const id = part.call_id ?? part.id ?? call.id
  const text = JSON.stringify([call.name, call.arguments ?? call.input ?? call.args])
  shown.push({ id: typeof id === 'string' ? id : undefined, name: call.name, text })
}
