/**
 * The content of a call, as a conversation: read from the JSON of a request, of a reply, or of the frames of a streamed
 * reply, in any dialect. Parts of no known shape are kept as JSON. Pure.
 */

import type { Part, Turn } from '../core/call-content.ts'
import { isObject, type Json, type JsonObject } from './json.ts'

/** Everything a request sent: instructions first, then the messages. */
export function requestTurns(body: JsonObject): Turn[] {
  const { messages, contents, input, system, systemInstruction, instructions, prompt } = body
  const first = [system, systemInstruction, instructions].flatMap((text) => turn('system', text))
  if (Array.isArray(contents)) return [...first, ...contents.flatMap(messageTurns)]
  if (Array.isArray(messages)) return [...first, ...messages.flatMap(messageTurns)]
  if (Array.isArray(input)) return [...first, ...input.flatMap(messageTurns)]
  return [...first, ...turn('user', input ?? prompt ?? body)]
}

/** A whole reply. */
export function replyTurns(reply: JsonObject): Turn[] {
  const { choices, candidates, output, message, response, thinking, content, error } = reply
  if (Array.isArray(candidates)) {
    return candidates.flatMap((one) => (isObject(one) ? messageTurns(one.content) : []))
  }
  if (isObject(output) && isObject(output.message)) return messageTurns(output.message)
  if (isObject(message)) return messageTurns(message)
  if (typeof response === 'string') return messageTurns({ role: 'assistant', content: response, thinking })
  if (Array.isArray(choices)) {
    return choices.flatMap((choice) =>
      isObject(choice) ? messageTurns(choice.message ?? { role: 'assistant', content: choice.text }) : [],
    )
  }
  if (Array.isArray(output)) return output.flatMap(messageTurns)
  if (content !== undefined) return turn('assistant', content)
  return error === undefined ? turn('assistant', reply) : turn('error', error)
}

/** A streamed reply: its frames, put together. */
export function streamTurns(frames: readonly JsonObject[]): Turn[] {
  const parts = new Map<string, Part>()
  for (const frame of frames) {
    // The Responses API repeats everything in its last frame.
    if (isObject(frame.response) && Array.isArray(frame.response.output) && frame.response.output.length > 0) {
      return replyTurns(frame.response)
    }
    for (const { key, ...piece } of piecesOf(frame)) {
      const known = parts.get(key)
      if (!known) parts.set(key, piece)
      else {
        known.text += piece.text
        known.name ??= piece.name
      }
    }
  }
  return parts.size === 0 ? [] : [{ role: 'assistant', parts: [...parts.values()] }]
}

type Piece = Part & { key: string }

/** The pieces of a frame; those with one key belong together. */
function piecesOf(frame: JsonObject): Piece[] {
  const { choices, candidates, content_block: block, start, delta, index, error } = frame
  if (Array.isArray(choices)) return choices.flatMap((choice) => (isObject(choice) ? choicePieces(choice) : []))
  if (Array.isArray(candidates)) return candidates.flatMap(candidatePieces)
  const key = `block ${String(index ?? frame.contentBlockIndex ?? frame.item_id ?? '')}`
  if (isObject(start)) return partsOf([start]).map((part) => ({ ...part, text: '', key }))
  if (isObject(block)) return partsOf([block]).map((part) => ({ ...part, text: textIn(block.text), key }))
  if (isObject(delta)) {
    const { text, partial_json: json, thinking, toolUse, reasoningContent: thought, message } = delta
    if (isObject(message)) return messagePieces(message, key)
    if (isObject(toolUse)) return [{ key, kind: 'tool_call', text: textIn(toolUse.input) }]
    if (isObject(thought)) return [{ key, kind: 'reasoning', text: textIn(thought.text) }]
    if (text !== undefined) return [{ key, kind: 'text', text: textIn(text) }]
    if (json !== undefined) return [{ key, kind: 'tool_call', text: textIn(json) }]
    if (thinking !== undefined) return [{ key, kind: 'reasoning', text: textIn(thinking) }]
  }
  if (typeof delta === 'string') return [{ key: `${key} ${String(frame.type)}`, kind: 'text', text: delta }]
  if (isObject(frame.message)) return messagePieces(frame.message, 'message')
  if (typeof frame.response === 'string') {
    return messagePieces({ content: frame.response, thinking: frame.thinking ?? '' }, 'message')
  }
  return error === undefined ? [] : [{ key: 'error', kind: 'other', text: textIn(error) }]
}

/** Of Gemini: each frame has the next parts; a call of a tool is whole. */
function candidatePieces(candidate: Json, at: number): Piece[] {
  if (!isObject(candidate) || !isObject(candidate.content)) return []
  const isText = ({ kind }: Part) => kind === 'text' || kind === 'reasoning'
  return partsOf(candidate.content.parts)
    .map((part, index) => ({ ...part, key: `${at} ${part.kind}${isText(part) ? '' : ` ${index} ${part.text}`}` }))
    .filter((part) => !isText(part) || part.text !== '')
}

/** Of Ollama and Cohere: a message with the next piece of its texts, or calls of tools. */
function messagePieces({ content, thinking, tool_plan: plan, tool_calls: calls }: JsonObject, key: string): Piece[] {
  const text = isObject(content) ? content.text : content
  const thought = isObject(content) ? content.thinking : (thinking ?? plan)
  const pieces: Piece[] = []
  if (typeof thought === 'string' && thought !== '')
    pieces.push({ key: `${key} reasoning`, kind: 'reasoning', text: thought })
  if (typeof text === 'string' && text !== '') pieces.push({ key, kind: 'text', text })
  for (const [at, call] of [calls ?? []].flat().entries()) {
    if (!isObject(call) || !isObject(call.function)) continue
    const { name, arguments: given } = call.function
    // Cohere's in pieces, by the index of the frame; Ollama's whole, some in each frame.
    const own = isObject(calls) ? `${key} call` : `${key} call ${at} ${textIn(call.function)}`
    pieces.push({ key: own, kind: 'tool_call', ...named(name), text: textIn(given) })
  }
  return pieces
}

function choicePieces({ index, delta, text }: JsonObject): Piece[] {
  const key = `choice ${String(index)}`
  if (text !== undefined) return [{ key, kind: 'text', text: textIn(text) }]
  if (!isObject(delta)) return []
  const pieces: Piece[] = []
  const { content, refusal, reasoning_content: reasoning, tool_calls: calls } = delta
  for (const [name, value] of Object.entries({ content, refusal })) {
    if (typeof value === 'string') pieces.push({ key: `${key} ${name}`, kind: 'text', text: value })
  }
  if (typeof reasoning === 'string') pieces.push({ key: `${key} reasoning`, kind: 'reasoning', text: reasoning })
  for (const call of Array.isArray(calls) ? calls : []) {
    if (!isObject(call) || !isObject(call.function)) continue
    const { name, arguments: text } = call.function
    pieces.push({ key: `${key} call ${String(call.index)}`, kind: 'tool_call', ...named(name), text: textIn(text) })
  }
  return pieces
}

/** A message of a request or a reply; an item that is none is a separate turn. */
function messageTurns(message: Json | undefined): Turn[] {
  if (!isObject(message)) return turn('user', message)
  const { role, content = message.parts, thinking, tool_calls: calls, name } = message
  if (role === undefined) return [{ role: 'assistant', parts: partsOf([message]) }]
  const parts =
    role === 'tool' ? [{ kind: 'tool_result' as const, ...named(name), text: textIn(content) }] : partsOf(content)
  if (typeof thinking === 'string' && thinking !== '') parts.unshift({ kind: 'reasoning', text: thinking })
  for (const call of Array.isArray(calls) ? calls : []) parts.push(...partsOf([call]))
  return parts.length === 0 ? [] : [{ role: textIn(role), parts }]
}

const turn = (role: string, content: Json | undefined): Turn[] => {
  const parts = partsOf(content)
  return parts.length === 0 ? [] : [{ role, parts }]
}

function partsOf(content: Json | undefined): Part[] {
  if (content === undefined || content === null || content === '') return []
  if (isObject(content) && Array.isArray(content.parts)) return partsOf(content.parts)
  if (!Array.isArray(content)) return [{ kind: 'text', text: textIn(content) }]
  return content.map((part) => (isObject(part) ? partOf(part) : { kind: 'text', text: textIn(part) }))
}

function partOf(part: JsonObject): Part {
  const { type, text, name, content, thought } = part
  const own = partNamed(part)
  if (own) return own
  if (isObject(part.function))
    return { kind: 'tool_call', ...named(part.function.name), text: textIn(part.function.arguments) }
  switch (type) {
    case 'tool_use':
    case 'server_tool_use':
      return { kind: 'tool_call', ...named(name), text: textIn(part.input) }
    case 'function_call':
      return { kind: 'tool_call', ...named(name), text: textIn(part.arguments) }
    case 'tool_result':
      return {
        kind: 'tool_result',
        text: partsOf(content)
          .map((one) => one.text)
          .join('\n'),
      }
    case 'function_call_output':
      return { kind: 'tool_result', text: textIn(part.output) }
    case 'thinking':
    case 'reasoning':
      return { kind: 'reasoning', text: textIn(part.thinking ?? part.summary) }
    default:
      if (typeof text === 'string') return { kind: thought === true ? 'reasoning' : 'text', text }
      return isBinary(type) ? { kind: 'other', text: `[${String(type)}]` } : { kind: 'other', text: textIn(part) }
  }
}

/** A part of Bedrock's or Gemini's, which is named by its only field. */
function partNamed(part: JsonObject): Part | undefined {
  const { toolUse, toolResult, reasoningContent, functionCall, functionResponse, inlineData, image, document } = part
  if (isObject(toolUse)) return { kind: 'tool_call', ...named(toolUse.name), text: textIn(toolUse.input) }
  if (isObject(functionCall)) return { kind: 'tool_call', ...named(functionCall.name), text: textIn(functionCall.args) }
  if (isObject(toolResult)) return { kind: 'tool_result', text: textIn(toolResult.content) }
  if (isObject(functionResponse)) {
    return { kind: 'tool_result', ...named(functionResponse.name), text: textIn(functionResponse.response) }
  }
  if (isObject(reasoningContent)) {
    const { reasoningText } = reasoningContent
    return { kind: 'reasoning', text: textIn(isObject(reasoningText) ? reasoningText.text : reasoningContent) }
  }
  if (inlineData ?? image ?? document) return { kind: 'other', text: '[media]' }
  return undefined
}

/** Images, audio and documents are not kept. */
const isBinary = (type: Json | undefined): boolean => typeof type === 'string' && /image|audio|document|file/.test(type)

const named = (name: Json | undefined): { name?: string } => (typeof name === 'string' ? { name } : {})

const textIn = (value: Json | undefined): string =>
  value === undefined || value === null ? '' : typeof value === 'string' ? value : JSON.stringify(value)
