/** Calls of tools in every dialect, as requests show them and replies ask for them: objects are known by their fields. Pure. */
import { isObject, type Json, type JsonObject } from '../../dialects/json.ts'

export interface ToolCall {
  /** Undefined in dialects without ids. */
  id: string | undefined
  name: string
  /** Its name and arguments. */
  text: string
}

/** The tool calls of one message or item of a conversation. */
export interface ShownCalls {
  calls: ToolCall[]
  /** Ids of the calls whose results it has. */
  results: string[]
}

/** Those of one message or item, in order. */
export function shownIn(item: Json): ShownCalls {
  const shown: ShownCalls = { calls: [], results: [] }
  if (!isObject(item)) return shown
  for (const parts of [item, item.tool_calls, item.content, item.parts]) {
    // By loops: most messages have none, and every call reads them.
    if (!Array.isArray(parts)) addShown(shown, parts)
    else for (const part of parts) addShown(shown, part)
  }
  return shown
}

function addShown(shown: ShownCalls, part: Json | undefined): void {
  if (!isObject(part)) return
  const resultOf = resultIdOf(part)
  if (resultOf !== undefined) shown.results.push(resultOf)
  else {
    const call = callOf(part)
    if (call) shown.calls.push(call)
  }
}

function resultIdOf(part: JsonObject): string | undefined {
  const isResult = RESULT.test(typeOf(part))
  const id = part.tool_call_id ?? (isResult ? (part.tool_use_id ?? part.call_id) : nestedOf(part.toolResult)?.toolUseId)
  return typeof id === 'string' ? id : undefined
}

function callOf(part: JsonObject): ToolCall | undefined {
  const call =
    nestedOf(part.function) ??
    nestedOf(part.functionCall) ??
    nestedOf(part.toolUse) ??
    nestedOf(part.function_call) ??
    (CALL.test(typeOf(part)) ? part : undefined)
  if (!call) return undefined
  const name = call.name ?? (call === part ? part.type : undefined)
  if (typeof name !== 'string' || name === '') return undefined
  const id = part.call_id ?? part.id ?? call.id ?? call.toolUseId
  const given = call.arguments ?? call.input ?? call.args ?? call.action ?? null
  return { id: typeof id === 'string' && id !== '' ? id : undefined, name, text: JSON.stringify([name, given]) }
}

const nestedOf = (value: Json | undefined): JsonObject | undefined => (isObject(value) ? value : undefined)

const typeOf = ({ type }: JsonObject): string => (typeof type === 'string' ? type : '')

const CALL = /(^|_)(tool_use|call)$/
const RESULT = /(tool_result|_output)$/

/** The calls that a reply asks for, read from the whole reply or from each frame of a stream. */
export class AskedCalls {
  readonly #seen = new Set<string>()
  #names: string[] = []

  /** Returns the names of the tools that it asks to call anew. */
  read(reply: Json): string[] {
    this.#names = []
    this.#read(reply, '', 0)
    return this.#names
  }

  #read(value: Json, place: string, depth: number): void {
    if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return
    if (Array.isArray(value)) {
      // Vectors are long.
      if (typeof value[0] !== 'object') return
      for (const [at, item] of value.entries()) this.#read(item, `${place}/${indexOf(item) ?? at}`, depth + 1)
    } else if (isObject(value)) {
      const call = resultIdOf(value) === undefined ? callOf(value) : undefined
      if (call) this.#add(call, indexOf(value) === undefined ? [] : [place])
      else
        for (const name in value) if (!ECHOED.has(name)) this.#read(value[name] ?? null, `${place}/${name}`, depth + 1)
    }
  }

  /** Later frames repeat the id of a call, its numbered place, or both. */
  #add({ id, name }: ToolCall, place: string[]): void {
    const keys = id === undefined ? place : [id]
    const isRepeated = keys.some((key) => this.#seen.has(key))
    for (const key of [...keys, ...place]) this.#seen.add(key)
    if (!isRepeated) this.#names.push(name)
  }
}

/** Names of the tools that a whole reply asks to call. */
export const toolsAskedIn = (reply: Json): string[] => new AskedCalls().read(reply)

const indexOf = (item: Json): number | undefined =>
  isObject(item) && typeof item.index === 'number' ? item.index : undefined

/** Deeper than any dialect's calls. */
const MAX_DEPTH = 8
/** The calls that a reply repeats from its request. */
const ECHOED: ReadonlySet<string> = new Set(['tools', 'tool_choice', 'instructions', 'input', 'metadata'])
