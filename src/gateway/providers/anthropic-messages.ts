/** Anthropic's messages. */
import { CageError } from '../../errors.ts'
import { changeTexts } from '../../redaction/json.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import {
  type Format,
  parseFrame,
  type RedactPieces,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  type TextPlace,
  tokenCount,
} from './provider.ts'

export const messages: Format = {
  readCall: (body) => ({
    model: requireModel(body),
    stream: body.stream === true,
    maxOutputTokens: positiveInteger(body, 'max_tokens'),
    answers: 1,
    wantsUsage: true,
    isInputUnseen: false,
  }),

  prepare: (body, _stream, clampTo) => (clampTo === null ? body : { ...body, max_tokens: clampTo }),

  // Anthropic publishes no tokenizer; the bound by bytes stands.
  textOf: () => null,

  usageOf: (reply) => (isObject(reply.usage) ? readUsage(reply.usage) : undefined),

  redactReply(reply, redact) {
    if (!Array.isArray(reply.content)) return reply
    return { ...reply, content: reply.content.map((block) => redactBlock(block, redact)) }
  },

  readStream: (redact) => new MessageStream(redact),
}

function readUsage(usage: JsonObject): ReportedUsage | undefined {
  const uncached = tokenCount(usage.input_tokens)
  const output = tokenCount(usage.output_tokens)
  if (uncached === undefined || output === undefined) return undefined
  const cachedInput = tokenCount(usage.cache_read_input_tokens) ?? 0
  const written = tokenCount(usage.cache_creation_input_tokens) ?? 0
  const perHour = isObject(usage.cache_creation) ? tokenCount(usage.cache_creation.ephemeral_1h_input_tokens) : 0
  const cacheWriteHour = Math.min(perHour ?? 0, written)
  return {
    // Here the input excludes what was read from and written to the cache.
    usage: {
      input: uncached + cachedInput + written,
      cachedInput,
      cacheWrite: written - cacheWriteHour,
      cacheWriteHour,
      output,
    },
    isFinal: true,
    isRepaired: false,
  }
}

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
    if (isObject(usage)) this.#usage = { ...this.#usage, ...usage }
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
    if (!kind || !isObject(delta)) return [frame]
    const text = delta[kind.field]
    if (typeof text !== 'string') return [frame]
    const index = tokenCount(event.index) ?? 0
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
