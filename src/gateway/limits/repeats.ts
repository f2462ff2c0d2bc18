/**
 * An agent's progress, as its requests show it: its last message, and the calls of tools in it. By these loops are
 * noticed (`loop-detector.ts`) and calls of tools are counted (`tool-limits.ts`). Pure.
 */
import { hash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { isObject, type Json, type JsonObject } from '../../dialects/json.ts'
import { type ShownCalls, shownIn, type ToolCall } from './tool-calls.ts'

export interface Repeats {
  /** Equal for equal requests; a conversation that grows has another one each time. */
  fingerprint: string
  /** The last tool that the model called, and how often in a row with the same arguments; null without one. */
  tool: { name: string; times: number } | null
  tools: ShownTools
}

/** The calls of tools that a request shows. */
export interface ShownTools {
  /** In order. */
  calls: ToolCall[]
  /** How many of them, at the end, have run since the model last spoke. */
  fresh: number
  /** Ids of the calls whose results it has. */
  results: string[]
}

/** Reads a request of any dialect. */
export function repeatsOf(body: JsonObject): Repeats {
  const conversation = body.messages ?? body.input ?? body.contents ?? body.prompt ?? null
  const items = Array.isArray(conversation) ? conversation : [conversation]
  const last = JSON.stringify([body.model, items.length, shortened(items.at(-1))])
  const shown = items.slice(-MAX_ITEMS)
  const tools = shownTools(shown, shown.map(shownIn))
  return {
    fingerprint: last.length > MAX_FINGERPRINT ? hash('sha1', last, 'base64') : last,
    tool: lastTool(tools.calls),
    tools,
  }
}

function shownTools(items: readonly Json[], shown: readonly ShownCalls[]): ShownTools {
  let at = items.length - 1
  while (at >= 0 && shown[at]!.calls.length === 0 && isForModel(items[at]!, shown[at]!)) at--
  let fresh = 0
  // Some dialects have an item for each of the calls that a model makes at once.
  for (; at >= 0 && shown[at]!.calls.length > 0; at--) fresh += shown[at]!.calls.length
  return { calls: shown.flatMap(({ calls }) => calls), fresh, results: shown.flatMap(({ results }) => results) }
}

/** Whether an item answers the model. */
const isForModel = (item: Json, { results }: ShownCalls): boolean =>
  results.length > 0 || (isObject(item) && typeof item.role === 'string' && !MODEL.test(item.role))

const MODEL = /^(assistant|model|chatbot)$/i

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

function lastTool(calls: readonly ToolCall[]): Repeats['tool'] {
  const last = calls.at(-1)
  if (!last) return null
  const other = calls.findLastIndex(({ text }) => text !== last.text)
  return { name: last.name, times: calls.length - 1 - other }
}
