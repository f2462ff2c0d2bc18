/** Ollama's chat and generate: streamed as lines of JSON unless the request says otherwise. */
import { CageError } from '../../core/errors.ts'
import { requireClientTools } from '../demands.ts'
import {
  type Demands,
  type Format,
  parseFrame,
  type Redactions,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  TEXT_ONLY,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { StreamTexts } from '../stream-texts.ts'
import { fields } from './fields.ts'
import { readOllamaUsage } from './usage.ts'

const answering = (name: string, imagesOf: (body: JsonObject) => Json[]): Format => ({
  name,

  readCall: (body) => ({
    model: requireModel(body),
    stream: body.stream !== false,
    maxOutputTokens: limitIn(body.options),
    answers: 1,
    wantsUsage: true,
    // Models that can think do, unless they are asked not to.
    mayThink: body.think !== false,
    demands: readDemands(body, imagesOf(body)),
  }),

  prepare: (body, { clampTo }) =>
    clampTo === null ? body : { ...body, options: { ...optionsIn(body.options), num_predict: clampTo } },

  // No textOf: each model has a tokenizer of its own, so the bound by bytes applies.

  usageOf: readOllamaUsage,

  readStream: (redact) => new LineStream(redact),
})

export const chat = answering('chat', ({ messages }) =>
  (Array.isArray(messages) ? messages : []).flatMap((message) =>
    (isObject(message) ? [message.images ?? []] : []).flat(),
  ),
)
export const generate = answering('generate', ({ images }) => [images ?? []].flat())

const FIELDS = fieldsOf('messages', 'tools', 'prompt', 'suffix', 'images', 'system', 'template', 'context', 'raw')

const optionsIn = (options: Json | undefined): JsonObject => (isObject(options) ? options : {})

/** Negative limits mean none. */
function limitIn(options: Json | undefined): number | null {
  const limit = optionsIn(options).num_predict
  if (limit === undefined || limit === null || (typeof limit === 'number' && limit < 0)) return null
  if (typeof limit === 'number' && Number.isInteger(limit)) return Math.max(1, limit)
  throw new CageError('bad_request', `"num_predict" must be an integer, got ${JSON.stringify(limit)}`, {
    facts: { field: 'options.num_predict' },
  })
}

/** Qwen's models, which read the most of an image, read at most 16,384 tokens of it. */
const IMAGE_TOKENS = 16_384

function readDemands(body: JsonObject, images: readonly Json[]): Demands {
  requireClientTools(body.tools)
  return {
    ...TEXT_ONLY,
    images: images.length,
    imageBytes: images.reduce<number>((sum, image) => sum + (typeof image === 'string' ? image.length : 0), 0),
    imageTokens: IMAGE_TOKENS,
    unknownFields: readFields(body, FIELDS),
  }
}

/** Reads a stream: each line has the next piece of an answer, of a thought, or whole calls of tools. */
class LineStream implements StreamReader {
  isFinished = false
  /** The template for lines with the rest of a text: such a line without its texts. */
  readonly #texts: StreamTexts<JsonObject>
  #usage: ReportedUsage | undefined
  #item = ''

  constructor(redact: Redactions) {
    this.#texts = new StreamTexts(redact, fields, (head, rest) => this.#line(head, rest as JsonObject))
  }

  get deliveredText(): string {
    return this.#texts.delivered
  }

  usage(): ReportedUsage | undefined {
    return this.#usage
  }

  read(frame: Sse): Sse[] {
    const line = parseFrame(frame)
    if (line.error) throw new CageError('provider_reply_invalid', 'the provider ended the stream with an error')
    const { message, response, thinking, logprobs: _tokens, ...others } = line
    const { role, tool_calls, ...said } = isObject(message) ? message : {}
    const empty = message === undefined ? { response: '' } : { message: { role: role ?? 'assistant', content: '' } }
    const head = { model: others.model, created_at: others.created_at, done: false, ...empty }
    const texts = present({ message: isObject(message) ? said : message, response, thinking })
    const before = this.#endOfOther(said.thinking || thinking ? 'thought' : 'answer', tool_calls !== undefined)
    const safe = this.#texts.pieces(texts, this.#item, head) as JsonObject | undefined
    const calls = tool_calls === undefined ? undefined : this.#texts.whole({ message: { tool_calls } }, 'calls')
    const shown = calls ? merged(safe ?? {}, calls) : safe
    if (line.done !== true)
      return shown === undefined ? before : [...before, this.#line({ ...others, ...empty }, shown)]
    this.#usage = readOllamaUsage(line)
    this.isFinished = true
    return [
      ...before,
      ...(shown === undefined ? [] : [this.#line(head, shown)]),
      ...this.#texts.end(),
      this.#line({ ...others, ...empty }, {}),
    ]
  }

  /** A thought is complete when the answer begins, and both are when a tool is called. */
  #endOfOther(item: string, hasCalls: boolean): Sse[] {
    const isSame = item === this.#item && !hasCalls
    this.#item = item
    return isSame ? [] : this.#texts.end()
  }

  #line(head: JsonObject, texts: JsonObject): Sse {
    return { event: null, data: JSON.stringify(merged(this.#texts.whole(head), texts)) }
  }
}

const present = (texts: { [name: string]: Json | undefined }): JsonObject =>
  Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined))

/** Adds texts to a line, and those of its message to the message. */
function merged(line: JsonObject, texts: JsonObject): JsonObject {
  const [message, said] = [line.message, texts.message]
  return { ...line, ...texts, ...(isObject(message) && isObject(said) && { message: { ...message, ...said } }) }
}
