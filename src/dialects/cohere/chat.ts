/** Cohere's chat, whole and as a stream of typed events. */
import { CageError } from '../../core/errors.ts'
import { readContent, requireClientTools } from '../demands.ts'
import {
  type Format,
  parseFrame,
  type Redactions,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  tokenCount,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { StreamTexts } from '../stream-texts.ts'
import { fields } from './fields.ts'
import { readCohereUsage } from './usage.ts'

export const chat: Format = {
  name: 'chat',

  readCall(body) {
    requireClientTools(body.tools)
    return {
      model: requireModel(body),
      stream: body.stream === true,
      maxOutputTokens: positiveInteger(body, 'max_tokens'),
      answers: 1,
      wantsUsage: true,
      demands: { ...readContent(body.messages, IMAGE_TOKENS), unknownFields: readFields(body, FIELDS) },
    }
  },

  prepare: (body, { clampTo }) => (clampTo === null ? body : { ...body, max_tokens: clampTo }),

  // No textOf: Cohere's tokenizer is none of those that are known here, so the bound by bytes applies.

  usageOf: ({ usage }) => readCohereUsage(usage),

  readStream: (redact) => new EventStream(redact),
}

const FIELDS = fieldsOf(
  ...['messages', 'tools', 'strict_tools', 'documents', 'citation_options', 'response_format', 'safety_mode'],
  ...['max_tokens', 'stop_sequences', 'k', 'p', 'tool_choice'],
)

/** Cohere's guide "Image inputs": at most 3,328 tokens with high detail. */
const IMAGE_TOKENS = 3_328

/** The event of a text's last piece, without the text. */
interface EventTemplate {
  name: string | null
  event: JsonObject
}

/** Reads a stream: content, plans and calls of tools arrive in pieces, between a start and an end. */
class EventStream implements StreamReader {
  isFinished = false
  readonly #texts: StreamTexts<EventTemplate>
  #started = ''
  #usage: ReportedUsage | undefined

  constructor(redact: Redactions) {
    this.#texts = new StreamTexts(redact, fields, ({ name, event }, rest) =>
      asFrame(name, { ...this.#texts.whole(event), ...(rest as JsonObject) }),
    )
  }

  get deliveredText(): string {
    return this.#started + this.#texts.delivered
  }

  usage(): ReportedUsage | undefined {
    return this.#usage
  }

  read(frame: Sse): Sse[] {
    const event = parseFrame(frame)
    const [, part = '', step] = /^(.+)-(start|end)$/.exec(String(event.type)) ?? []
    if (part === 'message' && step === 'end') return this.#end(frame, event)
    if (step === 'start') return this.#start(frame, event, part)
    if (step === 'end') return [...this.#texts.end(itemOf(part, event)), this.#whole(frame, event)]
    return this.#pieces(frame, event)
  }

  #end(frame: Sse, event: JsonObject): Sse[] {
    const delta = isObject(event.delta) ? event.delta : {}
    if (delta.finish_reason === 'ERROR') {
      throw new CageError('provider_reply_invalid', 'the provider ended the stream with an error')
    }
    this.#usage = readCohereUsage(delta.usage)
    this.isFinished = true
    return [...this.#texts.end(), this.#whole(frame, event)]
  }

  /** A plan has no end of its own: calls of tools follow it. Any text here continues in the pieces of its part. */
  #start(frame: Sse, event: JsonObject, part: string): Sse[] {
    const before = part === 'tool-call' ? this.#texts.end(itemOf('tool-plan', event)) : []
    this.#remember(itemOf(part, event), ['delta'], event.delta)
    return [...before, this.#whole(frame, event)]
  }

  #remember(item: string, steps: string[], value: Json | undefined): void {
    if (typeof value === 'string' && value !== '') {
      this.#texts.began(item, steps, value)
      this.#started += value
    } else if (isObject(value)) for (const name in value) this.#remember(item, [...steps, name], value[name])
  }

  #whole({ event: name }: Sse, event: JsonObject): Sse {
    return asFrame(name, this.#texts.whole(event, `${event.type}${indexOf(event)}`))
  }

  /** Events of unknown types may also carry pieces of a text. */
  #pieces(frame: Sse, { type, index, logprobs: _tokens, ...texts }: JsonObject): Sse[] {
    const event = { type: type ?? null, ...(index !== undefined && { index }) }
    const item = itemOf(String(type).replace(/-delta$/, ''), event)
    const safe = this.#texts.pieces(texts, item, { name: frame.event, event })
    return safe === undefined ? [] : [asFrame(frame.event, { ...this.#texts.whole(event), ...(safe as JsonObject) })]
  }
}

const asFrame = (event: string | null, data: JsonObject): Sse => ({ event, data: JSON.stringify(data) })

const indexOf = ({ index }: JsonObject): number => tokenCount(index) ?? 0

/** A message has one plan. */
const itemOf = (part: string, event: JsonObject): string => (part === 'tool-plan' ? part : `${part}${indexOf(event)}`)
