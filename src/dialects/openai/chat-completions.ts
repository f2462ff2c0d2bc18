/** OpenAI's chat completions, and everything that is written like them. */
import { CageError } from '../../errors.ts'
import { readContent, withoutImages } from '../demands.ts'
import {
  type Format,
  parseFrame,
  type RedactPieces,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  tokenCount,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { tierTerms, UsageReader } from '../usage.ts'
import { asReported, imageTokens } from './usage.ts'

export const chatCompletions: Format = {
  readCall(body) {
    const { stream, stream_options } = body
    const model = requireModel(body)
    const answers = positiveInteger(body, 'n') ?? 1
    return {
      model,
      stream: stream === true,
      // Whichever of the two a provider goes by.
      maxOutputTokens: LIMITS.map((name) => positiveInteger(body, name)).reduce(greater),
      answers,
      wantsUsage: isObject(stream_options) && stream_options.include_usage === true,
      demands: {
        ...readContent(body.messages, imageTokens(model)),
        audioOutput: Array.isArray(body.modalities) && body.modalities.includes('audio'),
        terms: tierTerms(body.service_tier),
        // These models search before they answer; the reply does not say so.
        searches: body.web_search_options || SEARCH_MODEL.test(model) ? answers : 0,
      },
    }
  },

  prepare(body, stream, clampTo) {
    return {
      ...body,
      ...(clampTo === null ? {} : clampedLimits(body, clampTo)),
      ...(stream
        ? { stream_options: { ...(isObject(body.stream_options) ? body.stream_options : {}), include_usage: true } }
        : {}),
    }
  },

  textOf: (body) => () => withoutImages([body.messages, body.tools, body.functions, body.response_format]),

  usageOf: (reply) => readChatUsage(reply.usage, reply.service_tier),

  redactReply(reply, redact) {
    const { choices } = reply
    if (!Array.isArray(choices)) return reply
    return {
      ...reply,
      choices: choices.map((choice) => {
        if (!isObject(choice) || !isObject(choice.message)) return choice
        const message = redactMessage(choice.message, (_key, text, place) => redact(text, place))
        // The tokens of a redacted text would tell it all the same.
        return { ...choice, message, ...(choice.logprobs && message !== choice.message ? { logprobs: null } : {}) }
      }),
    }
  },

  readStream: (redact, wantsUsage) => new ChatStream(redact, wantsUsage),
}

const SEARCH_MODEL = /-search-(preview|api)/

const LIMITS = ['max_completion_tokens', 'max_tokens'] as const
/** OpenAI's reasoning models know the first name only; other servers ignore it, and would answer without a limit. */
const OPENAI_MODEL = /^(ft:)?(gpt-(?!oss)|chatgpt-|o\d|codex-)/

const greater = (a: number | null, b: number | null): number | null =>
  a !== null && b !== null ? Math.max(a, b) : (a ?? b)

/** Every limit the client gave, lowered where it is above; one of ours when it gave none. */
function clampedLimits(body: JsonObject, clampTo: number): JsonObject {
  const given = LIMITS.filter((name) => typeof body[name] === 'number')
  if (given.length === 0) return { [OPENAI_MODEL.test(String(body.model)) ? LIMITS[0] : LIMITS[1]]: clampTo }
  return Object.fromEntries(given.map((name) => [name, Math.min(body[name] as number, clampTo)]))
}

/** Usage as chat completions and completions tell it. `tier`: the reply's service_tier. */
export function readChatUsage(usage: Json | undefined, tier: Json | undefined): ReportedUsage | undefined {
  if (!isObject(usage)) return undefined
  const read = new UsageReader(usage)
  const input = read.find('prompt_tokens')
  const output = read.find('completion_tokens')
  if (input === undefined || output === undefined) return undefined
  // DeepSeek and Moonshot count what was cached in fields of their own.
  const cached = ['prompt_tokens_details.cached_tokens', 'prompt_cache_hit_tokens', 'cached_tokens'].map((path) =>
    read.count(path),
  )
  read.ignore(...PARTS)
  return asReported(read, tier, {
    input,
    output,
    cachedInput: Math.max(...cached),
    cacheWrite: read.count('prompt_tokens_details.cache_write_tokens'),
    audioInput: read.count('prompt_tokens_details.audio_tokens'),
    audioOutput: read.count('completion_tokens_details.audio_tokens'),
    total: read.count('total_tokens'),
  })
}

/** Within what was counted already, at its price: reasoning is output, and so is what was predicted wrongly. */
const PARTS = [
  'prompt_tokens_details.text_tokens',
  'prompt_tokens_details.image_tokens',
  'prompt_cache_miss_tokens',
  'completion_tokens_details.reasoning_tokens',
  'completion_tokens_details.text_tokens',
  'completion_tokens_details.accepted_prediction_tokens',
  'completion_tokens_details.rejected_prediction_tokens',
]

type RedactText = (key: string, text: string, place: 'reply' | 'tool_arguments') => string

/** Every text of a message or of a delta. Returns the same object when nothing changed. */
function redactMessage(message: JsonObject, redact: RedactText): JsonObject {
  let changed = false
  const clean = (key: string, text: string, place: 'reply' | 'tool_arguments'): string => {
    const safe = redact(key, text, place)
    changed ||= safe !== text
    return safe
  }
  const next: JsonObject = { ...message }
  for (const key of ['content', 'refusal', 'reasoning_content', 'reasoning']) {
    const text = message[key]
    if (typeof text === 'string') next[key] = clean(key, text, 'reply')
    else if (Array.isArray(text)) next[key] = text.map((part, index) => cleanPart(part, `${key}${index}`, clean))
  }
  if (Array.isArray(message.tool_calls)) {
    next.tool_calls = message.tool_calls.map((call, index) => {
      if (!isObject(call) || !isObject(call.function) || typeof call.function.arguments !== 'string') return call
      const key = `tool${tokenCount(call.index) ?? index}`
      return {
        ...call,
        function: { ...call.function, arguments: clean(key, call.function.arguments, 'tool_arguments') },
      }
    })
  }
  if (isObject(message.function_call) && typeof message.function_call.arguments === 'string') {
    const text = clean('function_call', message.function_call.arguments, 'tool_arguments')
    next.function_call = { ...message.function_call, arguments: text }
  }
  return changed ? next : message
}

const cleanPart = (part: Json, key: string, clean: RedactText): Json =>
  isObject(part) && typeof part.text === 'string' ? { ...part, text: clean(key, part.text, 'reply') } : part

class ChatStream implements StreamReader {
  isFinished = false
  deliveredText = ''
  readonly #redact: RedactPieces
  readonly #wantsUsage: boolean
  readonly #channels = new Map<number, Set<string>>()
  #usage: ReportedUsage | undefined
  /** The service tier, which need not stand beside the usage. */
  #tier: Json | undefined

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
      return [...this.#endAll(), frame]
    }
    const chunk = parseFrame(frame)
    if (chunk.error) {
      throw new CageError('provider_reply_invalid', 'the provider ended the stream with an error')
    }
    this.#tier = chunk.service_tier ?? this.#tier
    this.#usage = readChatUsage(chunk.usage, this.#tier) ?? this.#usage
    const choices = Array.isArray(chunk.choices) ? chunk.choices : []
    // Asked for by us, not by the client.
    if (choices.length === 0 && isObject(chunk.usage) && !this.#wantsUsage) return []
    const frames: Sse[] = []
    const kept = choices.flatMap((choice): Json[] => {
      if (!isObject(choice)) return [choice]
      // Some servers say "message" in a stream too; its text must not slip by.
      const { message, ...others } = choice
      const said = isObject(choice.delta) ? choice.delta : message
      if (!isObject(said)) return [others]
      const index = tokenCount(choice.index) ?? 0
      const ends = choice.finish_reason !== null && choice.finish_reason !== undefined
      const delta = redactMessage(said, (key, text, place) => this.#push(index, key, text, place))
      if (ends) {
        frames.push(...this.#endChoice(index, chunk, delta))
        return [{ ...others, delta: {}, ...('logprobs' in choice ? { logprobs: null } : {}) }]
      }
      // Tokens beside the text would tell what is held back.
      return isSilent(said, delta) ? [] : [{ ...others, delta, ...('logprobs' in choice ? { logprobs: null } : {}) }]
    })
    if (choices.length > 0 && kept.length === 0) return frames
    const { usage: _asked, ...rest } = chunk
    frames.push({ event: null, data: JSON.stringify({ ...(this.#wantsUsage ? chunk : rest), choices: kept }) })
    return frames
  }

  #push(choice: number, key: string, text: string, place: 'reply' | 'tool_arguments'): string {
    const keys = this.#channels.get(choice) ?? new Set()
    this.#channels.set(choice, keys.add(key))
    const safe = this.#redact.push(`${choice}/${key}`, text, place)
    this.deliveredText += safe
    return safe
  }

  /** What is still held back of a choice leaves before its finish_reason. */
  #endChoice(index: number, chunk: JsonObject, last: JsonObject): Sse[] {
    const deltas: JsonObject[] = Object.keys(last).length > 0 ? [last] : []
    for (const key of this.#channels.get(index) ?? []) {
      const tail = this.#redact.end(`${index}/${key}`)
      this.deliveredText += tail
      if (tail) deltas.push(deltaOf(key, tail))
    }
    this.#channels.delete(index)
    const { usage: _usage, ...rest } = chunk
    return deltas.map((delta) => ({
      event: null,
      data: JSON.stringify({ ...rest, choices: [{ index, delta, finish_reason: null }] }),
    }))
  }

  #endAll(): Sse[] {
    return [...this.#channels.keys()].flatMap((index) =>
      this.#endChoice(index, { object: 'chat.completion.chunk' }, {}),
    )
  }
}

function deltaOf(key: string, text: string): JsonObject {
  if (key.startsWith('tool')) return { tool_calls: [{ index: Number(key.slice(4)), function: { arguments: text } }] }
  if (key === 'function_call') return { function_call: { arguments: text } }
  return { [key]: text }
}

/** A delta that had text and whose whole text is held back now says nothing. */
const isSilent = (before: JsonObject, after: JsonObject): boolean =>
  before !== after && Object.keys(after).length === 1 && after.content === ''
