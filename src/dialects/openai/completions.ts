/** OpenAI's old completions: a prompt in, text out. */

import { CageError } from '../../errors.ts'
import {
  type Format,
  parseFrame,
  type RedactPieces,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  TEXT_ONLY,
  tokenCount,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { tierTerms } from '../usage.ts'
import { readChatUsage } from './chat-completions.ts'

/** What the API gives when a request does not say how much it wants. */
const UNSTATED_TOKENS = 16

export const completions: Format = {
  readCall(body) {
    // A list of numbers is one prompt in tokens; every other list is a list of prompts, each answered by itself.
    const isList = Array.isArray(body.prompt) && !body.prompt.every((prompt) => typeof prompt === 'number')
    const prompts = isList ? Math.max(1, (body.prompt as Json[]).length) : 1
    return {
      model: requireModel(body),
      stream: body.stream === true,
      maxOutputTokens: positiveInteger(body, 'max_tokens') ?? UNSTATED_TOKENS,
      // best_of answers are written, and paid for, to choose n of them.
      answers: Math.max(positiveInteger(body, 'n') ?? 1, positiveInteger(body, 'best_of') ?? 1) * prompts,
      wantsUsage: isObject(body.stream_options) && body.stream_options.include_usage === true,
      demands: { ...TEXT_ONLY, terms: tierTerms(body.service_tier) },
    }
  },

  prepare: (body, stream, clampTo) => ({
    ...body,
    ...(clampTo === null ? {} : { max_tokens: clampTo }),
    ...(stream
      ? { stream_options: { ...(isObject(body.stream_options) ? body.stream_options : {}), include_usage: true } }
      : {}),
  }),

  textOf: (body) => () => JSON.stringify([body.prompt, body.suffix]),

  usageOf: (reply) => readChatUsage(reply.usage, reply.service_tier),

  redactReply(reply, redact) {
    if (!Array.isArray(reply.choices)) return reply
    return { ...reply, choices: reply.choices.map((choice) => withText(choice, (text) => redact(text, 'reply'))) }
  },

  readStream: (redact, wantsUsage) => new CompletionStream(redact, wantsUsage),
}

/** A choice with another text; the tokens beside it would tell the old one. */
function withText(choice: Json, change: (text: string) => string): Json {
  if (!isObject(choice) || typeof choice.text !== 'string') return choice
  return { ...choice, text: change(choice.text), ...('logprobs' in choice ? { logprobs: null } : {}) }
}

class CompletionStream implements StreamReader {
  isFinished = false
  deliveredText = ''
  readonly #redact: RedactPieces
  readonly #wantsUsage: boolean
  readonly #open = new Map<number, JsonObject>()
  #usage: ReportedUsage | undefined

  constructor(redact: RedactPieces, wantsUsage: boolean) {
    this.#redact = redact
    this.#wantsUsage = wantsUsage
  }

  usage(): ReportedUsage | undefined {
    return this.#usage
  }

  read(frame: Sse): Sse[] {
    if (frame.data === '[DONE]') {
      this.isFinished = true
      return [...[...this.#open].flatMap((open) => this.#rest(open)), frame]
    }
    const chunk = parseFrame(frame)
    if (chunk.error) throw new CageError('provider_reply_invalid', 'the provider ended the stream with an error')
    this.#usage = readChatUsage(chunk.usage, chunk.service_tier) ?? this.#usage
    const choices = Array.isArray(chunk.choices) ? chunk.choices : []
    if (choices.length === 0 && isObject(chunk.usage) && !this.#wantsUsage) return []
    const safe = choices.map((choice) => {
      const index = isObject(choice) ? (tokenCount(choice.index) ?? 0) : 0
      const isEnd = isObject(choice) && typeof choice.finish_reason === 'string'
      this.#open.set(index, chunk)
      return withText(choice, (text) => this.#push(index, text) + (isEnd ? this.#end(index) : ''))
    })
    const { usage: _asked, ...rest } = chunk
    return [{ event: null, data: JSON.stringify({ ...(this.#wantsUsage ? chunk : rest), choices: safe }) }]
  }

  #push(index: number, text: string): string {
    const safe = this.#redact.push(`choice${index}`, text, 'reply')
    this.deliveredText += safe
    return safe
  }

  #end(index: number): string {
    this.#open.delete(index)
    const tail = this.#redact.end(`choice${index}`)
    this.deliveredText += tail
    return tail
  }

  /** The rest of a choice that was never ended. */
  #rest([index, { usage: _usage, ...chunk }]: [number, JsonObject]): Sse[] {
    const text = this.#end(index)
    if (!text) return []
    return [
      {
        event: null,
        data: JSON.stringify({ ...chunk, choices: [{ index, text, logprobs: null, finish_reason: null }] }),
      },
    ]
  }
}
