/** OpenAI's Chat Completions API, and compatible ones. */
import { readContent } from '../content.ts'
import { requireClientTools, tokensForTools, withoutImages } from '../demands.ts'
import { type Format, type Limits, type Redactions, type Sse, tokenCount } from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { fieldsOf, readFields, unpricedField } from '../request-fields.ts'
import { statusOfError } from '../stream-error.ts'
import { StreamTexts } from '../stream-texts.ts'
import { TextStream } from '../text-stream.ts'
import { tierTerms } from '../usage.ts'
import { chatContent } from './content.ts'
import { fields } from './fields.ts'
import { imageTokens, readOpenAiUsage } from './usage.ts'

export const chatCompletions: Format = {
  name: 'chat-completions',

  readCall(body) {
    const { stream, stream_options } = body
    const model = requireModel(body)
    const answers = positiveInteger(body, 'n') ?? 1
    const modalities = readModalities(body.modalities)
    requireClientTools(body.tools)
    return {
      model,
      stream: stream === true,
      // A provider uses one of the two.
      maxOutputTokens: LIMITS.map((name) => positiveInteger(body, name)).reduce(greater),
      answers,
      wantsUsage: isObject(stream_options) && stream_options.include_usage === true,
      demands: {
        ...readContent(body.messages, chatContent(imageTokens(model))),
        toolTokens: tokensForTools(body.tools),
        predictedBytes: body.prediction ? Buffer.byteLength(JSON.stringify(body.prediction)) : 0,
        audioOutput: modalities.includes('audio'),
        imageOutput: modalities.includes('image'),
        unknownFields: readFields(body, FIELDS),
        terms: tierTerms(body.service_tier),
        // These models search before they answer; the reply does not report it.
        searches: body.web_search_options || SEARCH_MODEL.test(model) ? answers : 0,
      },
    }
  },

  prepare: (body, limits) => ({
    ...body,
    ...writtenLimits(body, limits),
    ...askedUsage(body, limits),
  }),

  onlyLimitIn,

  textOf: (body) => withoutImages([body.messages, body.tools, body.functions, body.response_format]),

  usageOf: (reply) => readOpenAiUsage(reply.usage, reply.service_tier),

  readStream: (redact, wantsUsage) => new ChatStream(redact, wantsUsage),
}

const SEARCH_MODEL = /-search-(preview|api)/

const FIELDS = fieldsOf(
  ...['messages', 'n', 'max_tokens', 'max_completion_tokens', 'modalities', 'audio', 'tools', 'tool_choice'],
  ...['functions', 'function_call', 'parallel_tool_calls', 'prediction', 'response_format', 'verbosity'],
  'web_search_options',
)

/** Throws CageError `price_unknown` for an output modality without a price. */
function readModalities(modalities: Json | undefined): Json[] {
  if (!Array.isArray(modalities)) return []
  if (modalities.every((one) => one === 'text' || one === 'audio' || one === 'image')) return modalities
  throw unpricedField('modalities', 'ask for text, audio or images')
}

const LIMITS = ['max_completion_tokens', 'max_tokens'] as const
/** OpenAI's own models; its reasoning models accept only the first name. */
const OPENAI_MODEL = /^(ft:)?(gpt-(?!oss)|chatgpt-|o\d|codex-)/

const greater = (a: number | null, b: number | null): number | null =>
  a !== null && b !== null ? Math.max(a, b) : (a ?? b)

/**
 * Returns the client's limits, lowered to ours where above it; ours if the client set none. OpenAI's models know both
 * names and refuse a request that has both; other servers ignore the name that they do not know.
 */
function writtenLimits(body: JsonObject, { clampTo, isVendors, onlyLimit, model }: Limits): JsonObject {
  const max = clampTo ?? Number.POSITIVE_INFINITY
  const given = LIMITS.filter((name) => typeof body[name] === 'number')
  if (given.length === 0 && clampTo === null) return {}
  const requested = given.length > 0 ? Math.max(...given.map((name) => body[name] as number)) : max
  if (onlyLimit !== undefined)
    return Object.fromEntries(LIMITS.map((name) => [name, name === onlyLimit ? Math.min(requested, max) : undefined]))
  if (!(isVendors && OPENAI_MODEL.test(model)))
    return Object.fromEntries(LIMITS.map((name) => [name, Math.min(requested, max)]))
  if (given.length === 0) return { [LIMITS[0]]: max }
  return Object.fromEntries(given.map((name) => [name, Math.min(body[name] as number, max)]))
}

/** Returns the option with which a stream reports its usage, in addition to the client's own. */
export function askedUsage({ stream_options }: JsonObject, { stream, asksUsage }: Limits): JsonObject {
  if (!stream || !asksUsage) return {}
  return { stream_options: { ...(isObject(stream_options) ? stream_options : {}), include_usage: true } }
}

/** Returns the field to keep when a server's refusal shows that it accepts only one; undefined for other refusals. */
function onlyLimitIn(refusal: string): string | undefined {
  const isRefused = /not supported|unsupported|not permitted|extra_forbidden|unrecognized|unknown|same time/i.test(
    refusal,
  )
  if (!isRefused || !/max_(completion_)?tokens/.test(refusal)) return undefined
  return /\bmax_tokens\b/.test(refusal) ? 'max_completion_tokens' : 'max_tokens'
}

/** Reads streams of chat completions and of completions: choices whose texts arrive in pieces. */
export class ChatStream extends TextStream {
  readonly #wantsUsage: boolean
  /** Whether each choice has ended. */
  readonly #hasEnded = new Map<number, boolean>()
  /** The service tier, which may be in another chunk than the usage. */
  #tier: Json | undefined

  constructor(redact: Redactions, wantsUsage: boolean) {
    super(new StreamTexts(redact, fields, (channel) => CHOICE.exec(channel)?.[0] ?? ''))
    this.#wantsUsage = wantsUsage
  }

  override read(frame: Sse): Sse[] {
    if (!frame.data.startsWith(DONE)) return super.read(frame)
    this.isFinished = true
    this.texts.addMark(frame)
    return this.end()
  }

  protected readEvent(frame: Sse, chunk: JsonObject): void {
    this.#tier = chunk.service_tier ?? this.#tier
    this.reported = readOpenAiUsage(chunk.usage, this.#tier) ?? this.reported
    const { choices, usage } = chunk
    const error = frame.event === 'error' || chunk.object === 'error' ? (chunk.error ?? chunk) : chunk.error
    // Requested by us, not by the client.
    const isOurs = Array.isArray(choices) && choices.length === 0 && isObject(usage) && !this.#wantsUsage
    if (isOurs && !error) return
    this.texts.add(frame, chunk, { pieces: PIECES }, this.#asWanted(chunk))
    for (const [at, choice] of [choices ?? []].flat().entries()) if (isObject(choice)) this.#note(choice, at)
    if (!error) return
    this.errorStatus = statusOfError(error)
    this.texts.end()
  }

  /** Where usage is asked for, every chunk before it announces it. */
  #asWanted(chunk: JsonObject): JsonObject {
    if (this.#wantsUsage || chunk.usage !== null) return chunk
    const { usage: _ours, ...others } = chunk
    return others
  }

  /** A stream is complete without a last frame, if all its choices are. */
  protected override get isComplete(): boolean {
    const ends = [...this.#hasEnded.values()]
    return ends.length > 0 && ends.every(Boolean)
  }

  #note({ index, finish_reason }: JsonObject, at: number): void {
    const choice = tokenCount(index) ?? at
    const isLast = isEnd(finish_reason)
    this.#hasEnded.set(choice, isLast || this.#hasEnded.get(choice) === true)
    if (isLast) this.texts.end(`/choices/#${choice}/`)
  }
}

const DONE = '[DONE]'
const CHOICE = /^\/choices\/#\d+\//
/** Some servers use "message" in streams too. */
const PIECES =
  /^choices\/#\d+\/(text|(delta|message)\/(content|refusal|reasoning|reasoning_content|reasoning_text|thinking|audio\/transcript|function_call\/arguments|tool_calls\/#\d+\/(function\/arguments|custom\/input)|content\/#\d+|(content|reasoning_details|thinking_blocks)\/#\d+\/(text|thinking|summary|thinking\/#\d+\/text)))$/

/** Some servers send "", false or "null" in every chunk. */
const isEnd = (reason: Json | undefined): boolean =>
  typeof reason === 'string' && reason !== 'null' && /^[a-z][a-z_]*$/i.test(reason)
