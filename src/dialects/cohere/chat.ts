/** Cohere's chat, whole and as a stream of typed events. */
import { readContent } from '../content.ts'
import { requireClientTools } from '../demands.ts'
import { type Format, type Redactions, type Sse, tokenCount } from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { chatContent } from '../openai/content.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { statusOfError } from '../stream-error.ts'
import { StreamTexts } from '../stream-texts.ts'
import { TextStream } from '../text-stream.ts'
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
      demands: { ...readContent(body.messages, chatContent(IMAGE_TOKENS)), unknownFields: readFields(body, FIELDS) },
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

/** Reads a stream: content, plans and calls of tools arrive in pieces, between a start and an end. */
class EventStream extends TextStream {
  constructor(redact: Redactions) {
    super(new StreamTexts(redact, fields, () => ''))
  }

  protected readEvent(frame: Sse, event: JsonObject): void {
    const [, part = '', step] = /^(.+)-(start|delta|end)$/.exec(String(event.type)) ?? []
    if (part === 'message' && step === 'end') this.#last(event)
    const item = itemOf(part, event)
    if (step === 'end') this.texts.end(`${item}/`)
    if (step === 'start') this.#start(part, event)
    const isPiece = step === 'delta'
    this.texts.add(frame, event, isPiece ? { item, pieces: PIECES } : { item: `${event.type}${indexOf(event)}` })
  }

  /** A plan has no end event: calls of tools follow it. Any text here continues in the pieces of its part. */
  #start(part: string, event: JsonObject): void {
    if (part === 'tool-call') this.texts.end(`${itemOf('tool-plan', event)}/`)
    this.#remember(`${itemOf(part, event)}/delta`, event.delta)
  }

  #remember(channel: string, value: Json | undefined): void {
    if (typeof value === 'string' && value !== '') {
      this.texts.began(channel, value)
      this.texts.delivered += value
    } else if (isObject(value)) for (const name in value) this.#remember(`${channel}/${name}`, value[name])
  }

  #last(event: JsonObject): void {
    const delta = isObject(event.delta) ? event.delta : {}
    this.reported = readCohereUsage(delta.usage)
    this.texts.end()
    if (delta.finish_reason === 'ERROR') this.errorStatus = statusOfError(delta.error)
    else this.isFinished = true
  }
}

const PIECES =
  /^delta\/(text|message\/(tool_plan|content(\/#\d+)?\/(text|thinking)|content|tool_calls(\/#\d+)?\/function\/arguments))$/

const indexOf = ({ index }: JsonObject): number => tokenCount(index) ?? 0

/** A message has one plan. */
const itemOf = (part: string, event: JsonObject): string => (part === 'tool-plan' ? part : `${part}${indexOf(event)}`)
