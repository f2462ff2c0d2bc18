/** Ollama's chat and generate: streamed as lines of JSON unless the request turns it off. */
import { CageError } from '../../core/errors.ts'
import { requireClientTools } from '../demands.ts'
import { type Demands, type Format, type Redactions, type Sse, TEXT_ONLY } from '../dialect.ts'
import { isObject, type Json, type JsonObject, requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { statusOfError } from '../stream-error.ts'
import { StreamTexts } from '../stream-texts.ts'
import { TextStream } from '../text-stream.ts'
import { fields } from './fields.ts'
import { readOllamaUsage } from './usage.ts'

const answering = (name: string, imagesOf: (body: JsonObject) => Json[]): Format => ({
  name,
  streamsAs: 'lines',

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

  // No textOf: each model has another tokenizer, so the bound by bytes applies.

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
class LineStream extends TextStream {
  constructor(redact: Redactions) {
    super(new StreamTexts(redact, fields, () => ''))
    // A thought is complete when the answer begins.
  }

  protected readEvent(frame: Sse, line: JsonObject): void {
    this.texts.add(frame, line, { pieces: PIECES })
    if (line.error) this.errorStatus = statusOfError(line.error)
    if (line.done === true) {
      this.reported = readOllamaUsage(line)
      this.isFinished = true
    }
    const isLast = this.isFinished || this.errorStatus !== undefined
    if (isLast || (isObject(line.message) && line.message.tool_calls !== undefined)) this.texts.end()
  }
}

const PIECES = /^(response|thinking|message\/(content|thinking))$/
