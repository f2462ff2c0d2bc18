/** Anthropic's messages. */

import { CageError } from '../../errors.ts'
import { readContent, serverTools } from '../demands.ts'
import type { ServerTools } from '../dialect.ts'
import {
  type Format,
  parseFrame,
  type RedactPieces,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  type TextPlace,
  tokenCount,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { changeTexts } from '../texts.ts'
import { tierTerms, UsageReader } from '../usage.ts'

export const messages: Format = {
  readCall: (body) => ({
    model: requireModel(body),
    stream: body.stream === true,
    maxOutputTokens: positiveInteger(body, 'max_tokens'),
    answers: 1,
    wantsUsage: true,
    demands: {
      ...readContent([body.system ?? null, body.messages ?? null], IMAGE_TOKENS),
      terms: [...tierTerms(body.speed), ...geoTerms(body.inference_geo)],
      serverTools: readServerTools(body),
    },
  }),

  prepare: (body, _stream, clampTo, toolUses) => ({
    ...body,
    ...(clampTo === null ? {} : { max_tokens: clampTo }),
    ...(toolUses === null ? {} : { tools: withUses(body.tools, toolUses) }),
  }),

  // Anthropic publishes no tokenizer; the bound by bytes stands.
  textOf: () => null,

  usageOf: (reply) => (isObject(reply.usage) ? readUsage(reply.usage) : undefined),

  redactReply(reply, redact) {
    if (!Array.isArray(reply.content)) return reply
    return { ...reply, content: reply.content.map((block) => redactBlock(block, redact)) }
  },

  readStream: (redact) => new MessageStream(redact),
}

/**
 * The most that one image costs: 4,784 tokens on models that see up to 2,576 pixels, 1,568 on those before (Anthropic's
 * guide "Vision", evaluate image size).
 */
const IMAGE_TOKENS = 4_784

/** Tools with a limit of uses, and servers without one: there Anthropic's own loop ends after ten. */
function readServerTools(body: JsonObject): ServerTools | null {
  const tools = serverTools(body.tools)
  const servers = Array.isArray(body.mcp_servers) ? body.mcp_servers.length : 0
  const limits = tools.map((tool) => (isLimited(tool) ? positiveInteger(tool, 'max_uses') : LOOP_USES))
  if (servers > 0) limits.push(LOOP_USES)
  if (limits.length === 0) return null
  return { count: limits.length, uses: limits.includes(null) ? null : Math.max(...(limits as number[])) }
}

const LOOP_USES = 10

const isLimited = ({ type }: JsonObject): boolean => /^web_/.test(String(type))

/** The tools with a limit of uses, where they have none that is lower. */
const withUses = (tools: Json | undefined, uses: number): Json | undefined =>
  Array.isArray(tools)
    ? tools.map((tool) =>
        isObject(tool) && serverTools([tool]).length > 0 && isLimited(tool)
          ? { ...tool, max_uses: Math.min(positiveInteger(tool, 'max_uses') ?? uses, uses) }
          : tool,
      )
    : tools

function readUsage(usage: JsonObject): ReportedUsage | undefined {
  const read = new UsageReader(usage)
  const uncached = read.find('input_tokens')
  const output = read.find('output_tokens')
  if (uncached === undefined || output === undefined) return undefined
  const cachedInput = read.count('cache_read_input_tokens')
  const forFiveMinutes = read.count('cache_creation.ephemeral_5m_input_tokens')
  const cacheWriteHour = read.count('cache_creation.ephemeral_1h_input_tokens')
  const written = Math.max(read.count('cache_creation_input_tokens'), forFiveMinutes + cacheWriteHour)
  const webSearches = read.count('server_tool_use.web_search_requests')
  read.ignore('output_tokens_details.thinking_tokens')
  const compacted = readIterations(usage.iterations)
  const unknownTokens = read.unknownTokens() + compacted.unknownTokens
  const terms = [...tierTerms(usage.service_tier), ...tierTerms(usage.speed), ...geoTerms(usage.inference_geo)]
  return {
    // Here the input excludes what was read from and written to the cache.
    usage: {
      input: uncached + cachedInput + written + compacted.input,
      cachedInput,
      cacheWrite: written - cacheWriteHour,
      cacheWriteHour,
      output: output + compacted.output,
      ...(webSearches > 0 && { webSearches }),
      ...(unknownTokens > 0 && { unknownTokens }),
      ...(terms.length > 0 && { terms }),
    },
    isFinal: true,
    isRepaired: read.isRepaired,
  }
}

/** Steps within one call. The totals leave out what compacting the conversation took; it is paid for all the same. */
function readIterations(iterations: Json | undefined): { input: number; output: number; unknownTokens: number } {
  const sums = { input: 0, output: 0, unknownTokens: 0 }
  for (const step of Array.isArray(iterations) ? iterations : []) {
    if (!isObject(step) || step.type === 'message') continue
    const input = tokenCount(step.input_tokens) ?? 0
    const output = tokenCount(step.output_tokens) ?? 0
    if (step.type === 'compaction') {
      sums.input += input
      sums.output += output
    } else sums.unknownTokens += input + output
  }
  return sums
}

const geoTerms = (geo: Json | undefined): string[] =>
  typeof geo === 'string' && geo !== '' && geo !== 'global' && geo !== 'not_available' ? [`inference_geo:${geo}`] : []

type RedactText = (text: string, place: TextPlace) => string

function redactBlock(block: Json, redact: RedactText): Json {
  if (!isObject(block)) return block
  if (typeof block.text === 'string') return { ...block, text: redact(block.text, 'reply') }
  if (typeof block.thinking === 'string') return { ...block, thinking: redact(block.thinking, 'reply') }
  if (block.type === 'tool_use' && block.input !== undefined)
    return { ...block, input: changeTexts(block.input, (text) => redact(text, 'tool_arguments')) }
  return block
}

/** Which field of a delta holds its text. */
const TEXT_FIELDS: Record<string, { field: string; place: TextPlace }> = {
  text_delta: { field: 'text', place: 'reply' },
  thinking_delta: { field: 'thinking', place: 'reply' },
  input_json_delta: { field: 'partial_json', place: 'tool_arguments' },
}

class MessageStream implements StreamReader {
  isFinished = false
  deliveredText = ''
  readonly #redact: RedactPieces
  /** The kind of delta each open block carries. */
  readonly #blocks = new Map<number, string>()
  #usage: JsonObject = {}
  #hasFinalUsage = false

  constructor(redact: RedactPieces) {
    this.#redact = redact
  }

  usage(): ReportedUsage | undefined {
    const reported = readUsage(this.#usage)
    return reported && { ...reported, isFinal: this.#hasFinalUsage }
  }

  read(frame: Sse): Sse[] {
    const event = parseFrame(frame)
    switch (event.type) {
      case 'message_start':
        this.#addUsage(isObject(event.message) ? event.message.usage : undefined)
        return [frame]
      case 'message_delta':
        // Cumulative: the last one counts.
        this.#addUsage(event.usage)
        this.#hasFinalUsage = isObject(event.usage) && tokenCount(event.usage.output_tokens) !== undefined
        return [frame]
      case 'message_stop':
        this.isFinished = true
        return [frame]
      case 'content_block_start':
        return [this.#start(frame, event)]
      case 'content_block_delta':
        return this.#delta(frame, event)
      case 'content_block_stop':
        return [...this.#tail(tokenCount(event.index) ?? 0), frame]
      case 'error':
        throw new CageError('provider_reply_invalid', 'the provider ended the stream with an error')
      default:
        return [frame]
    }
  }

  #addUsage(usage: Json | undefined): void {
    if (!isObject(usage)) return
    // What a later frame leaves open was told before.
    const told = Object.entries(usage).filter(([, value]) => value !== null)
    this.#usage = { ...this.#usage, ...Object.fromEntries(told) }
  }

  /** Mostly empty. A text goes on in the deltas of its block; the arguments of a tool are whole. */
  #start(frame: Sse, event: JsonObject): Sse {
    const { content_block: block } = event
    if (!isObject(block)) return frame
    const index = tokenCount(event.index) ?? 0
    let changed = false
    const content_block = redactBlock(block, (text, place) => {
      if (text === '') return text
      const goesOn = place === 'reply'
      const channel = goesOn ? `block${index}` : `start${index}`
      if (goesOn) this.#blocks.set(index, 'thinking' in block ? 'thinking_delta' : 'text_delta')
      const safe = this.#redact.push(channel, text, place) + (goesOn ? '' : this.#redact.end(channel))
      this.deliveredText += safe
      changed ||= safe !== text
      return safe
    })
    return changed ? { event: frame.event, data: JSON.stringify({ ...event, content_block }) } : frame
  }

  #delta(frame: Sse, event: JsonObject): Sse[] {
    const { delta } = event
    const kind = isObject(delta) && typeof delta.type === 'string' ? TEXT_FIELDS[delta.type] : undefined
    const index = tokenCount(event.index) ?? 0
    // What was thought is whole once it is signed.
    if (isObject(delta) && delta.type === 'signature_delta') return [...this.#tail(index), frame]
    if (!kind || !isObject(delta)) return [frame]
    const text = delta[kind.field]
    if (typeof text !== 'string') return [frame]
    this.#blocks.set(index, delta.type as string)
    const safe = this.#redact.push(`block${index}`, text, kind.place)
    this.deliveredText += safe
    if (safe === text) return [frame]
    return safe
      ? [{ event: frame.event, data: JSON.stringify({ ...event, delta: { ...delta, [kind.field]: safe } }) }]
      : []
  }

  /** What is still held back of a block leaves before its stop. */
  #tail(index: number): Sse[] {
    const type = this.#blocks.get(index)
    if (!type) return []
    this.#blocks.delete(index)
    const tail = this.#redact.end(`block${index}`)
    this.deliveredText += tail
    if (!tail) return []
    const delta = { type, [TEXT_FIELDS[type]!.field]: tail }
    return [{ event: 'content_block_delta', data: JSON.stringify({ type: 'content_block_delta', index, delta }) }]
  }
}
