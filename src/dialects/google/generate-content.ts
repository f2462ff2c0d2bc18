/** Google's generateContent and its stream. */
import { CageError } from '../../core/errors.ts'
import { addAudio, addUnseen } from '../content.ts'
import {
  type Demands,
  type Format,
  type MutableDemands,
  type Redactions,
  type ReportedUsage,
  type Sse,
  TEXT_ONLY,
  tokenCount,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { readFields, unpricedField } from '../request-fields.ts'
import { statusOfError } from '../stream-error.ts'
import { StreamTexts } from '../stream-texts.ts'
import { TextStream } from '../text-stream.ts'
import { type Step, valueAt } from '../texts.ts'
import { tierTerms } from '../usage.ts'
import { fields } from './fields.ts'
import { bothSpellings, fieldOf, spellingOf } from './spelling.ts'
import { readGoogleUsage } from './usage.ts'

const generate = (name: string, isStream: boolean): Format => ({
  name,
  ...(isStream && { streamsAs: 'array' as const }),
  readsComments: true,

  readCall(body) {
    const config = configOf(body)
    return {
      model: requireModel(body),
      stream: isStream,
      maxOutputTokens: positiveInteger(config, spellingOf(config, 'maxOutputTokens')),
      answers: positiveInteger(config, spellingOf(config, 'candidateCount')) ?? 1,
      wantsUsage: true,
      mayThink: true,
      demands: {
        ...readDemands(body, config),
        unknownFields: [...readFields(body, FIELDS), ...readFields(config, CONFIG_FIELDS)],
        terms: tierTerms(fieldOf(body, 'serviceTier')),
      },
    }
  },

  // The path names the model.
  prepare(body, { clampTo }) {
    const unnamed = { ...body, model: undefined }
    if (clampTo === null) return unnamed
    const config = configOf(body)
    const limited = { ...config, [spellingOf(config, 'maxOutputTokens')]: clampTo }
    return { ...unnamed, [spellingOf(body, 'generationConfig')]: limited }
  },

  // No textOf: Google publishes no tokenizer, so the bound by bytes applies.

  usageOf: ({ usageMetadata }) => readGoogleUsage(usageMetadata),

  readStream: (redact) => new ContentStream(redact),
})

export const generateContent = generate('generate-content', false)
export const streamGenerateContent = generate('stream-generate-content', true)

const FIELDS: ReadonlySet<string> = new Set([
  'model',
  ...bothSpellings(['contents', 'systemInstruction', 'tools', 'toolConfig', 'generationConfig', 'safetySettings']),
  ...bothSpellings(['cachedContent', 'labels', 'serviceTier', 'store']),
])

const CONFIG_FIELDS: ReadonlySet<string> = new Set(
  bothSpellings([
    ...['temperature', 'topP', 'topK', 'candidateCount', 'maxOutputTokens', 'stopSequences', 'seed', 'logprobs'],
    ...['responseMimeType', 'responseSchema', 'responseJsonSchema', 'responseFormat', 'responseModalities'],
    ...['presencePenalty', 'frequencyPenalty', 'responseLogprobs', 'thinkingConfig', 'mediaResolution'],
    ...['speechConfig', 'imageConfig', 'audioTimestamp', 'enableEnhancedCivicAnswers', 'enableAffectiveDialog'],
  ]),
)

/** Throws CageError `bad_request` for a configuration that is no object. */
function configOf(body: JsonObject): JsonObject {
  const config = fieldOf(body, 'generationConfig') ?? {}
  if (isObject(config)) return config
  throw new CageError('bad_request', '"generationConfig" must be an object', { facts: { field: 'generationConfig' } })
}

/**
 * Maximum tokens of one image, by Google's guide "Understand and count tokens": 258 for each tile of 768 pixels, and at
 * most 2,240 on models that read an image whole. No image of the largest accepted size has more than 36 tiles.
 */
const IMAGE_TOKENS = 36 * 258

function readDemands(body: JsonObject, config: JsonObject): Demands {
  requireClientTools(body.tools)
  const modalities = fieldOf(config, 'responseModalities')
  const answersIn = Array.isArray(modalities) ? modalities.map((one) => String(one).toUpperCase()) : []
  if (!answersIn.every((one) => PRICED_MODALITIES.has(one)))
    throw unpricedField('responseModalities', 'ask for text, audio or images')
  const found = { ...TEXT_ONLY, imageTokens: IMAGE_TOKENS }
  for (const content of [fieldOf(body, 'systemInstruction'), body.contents].flat()) readParts(content, found)
  // A cache was read before this request.
  if (fieldOf(body, 'cachedContent') != null) addUnseen(found)
  return {
    ...found,
    audioOutput: answersIn.includes('AUDIO'),
    imageOutput: answersIn.includes('IMAGE'),
  }
}

const PRICED_MODALITIES: ReadonlySet<string> = new Set(['TEXT', 'AUDIO', 'IMAGE'])

function readParts(content: Json | undefined, found: MutableDemands): void {
  const parts = isObject(content) ? content.parts : undefined
  for (const part of Array.isArray(parts) ? parts : [parts]) if (isObject(part)) readPart(part, found)
}

function readPart(part: JsonObject, found: MutableDemands): void {
  const inline = fieldOf(part, 'inlineData')
  if (isObject(inline)) readMedia(inline, found)
  const file = fieldOf(part, 'fileData')
  if (file !== undefined) addMedia(file, found)
  const response = fieldOf(part, 'functionResponse')
  if (isObject(response)) readParts(response, found)
  if (!Object.keys(part).every((name) => KNOWN_PART.has(name))) addUnseen(found)
}

const KNOWN_PART: ReadonlySet<string> = new Set(
  bothSpellings([
    ...[
      'text',
      'thought',
      'thoughtSignature',
      'inlineData',
      'fileData',
      'functionCall',
      'functionResponse',
      'executableCode',
    ],
    ...['codeExecutionResult', 'mediaResolution', 'partMetadata'],
  ]),
)

/** The length of an image, recording or document is not the number of its tokens. */
function readMedia(inline: JsonObject, found: MutableDemands): void {
  const type = String(fieldOf(inline, 'mimeType'))
  if (/^image\//i.test(type)) {
    found.images += 1
    found.imageBytes += typeof inline.data === 'string' ? inline.data.length : 0
  } else if (/^audio\//i.test(type)) addAudio(inline.data, found)
  else if (!/^text\//i.test(type)) addMedia(inline, found)
}

/** Content elsewhere, or other than text: pages, or a recording, which a video has as well. */
function addMedia(media: Json, found: MutableDemands): void {
  const type = isObject(media) ? String(fieldOf(media, 'mimeType')) : ''
  if (/^(image\/|text\/|application\/pdf$)/i.test(type)) found.isInputUnseen = true
  else addUnseen(found)
}

/** Throws CageError `price_unknown` for a tool that Google runs. */
function requireClientTools(tools: Json | undefined): void {
  for (const tool of [tools ?? []].flat()) {
    const hosted = isObject(tool) ? Object.keys(tool).find((name) => !CLIENT_TOOLS.has(name)) : undefined
    if (hosted === undefined) continue
    throw new CageError('price_unknown', `the cost of the tool "${hosted}" is unknown, so the call was not sent`, {
      facts: { tool: hosted, field: 'tools' },
      hint: `leave "${hosted}" out of "tools"`,
    })
  }
}

const CLIENT_TOOLS: ReadonlySet<string> = new Set(bothSpellings(['functionDeclarations', 'computerUse']))

/** Reads a stream: each frame is a reply whose candidates hold the next parts. */
class ContentStream extends TextStream {
  /** Whether each candidate has ended. */
  readonly #hasEnded = new Map<number, boolean>()

  constructor(redact: Redactions) {
    super(new StreamTexts(redact, fields, (channel) => CANDIDATE.exec(channel)?.[0] ?? ''))
  }

  override usage(): ReportedUsage | undefined {
    return this.reported && { ...this.reported, isFinal: this.isComplete }
  }

  /** The format has no last frame: a stream that has no end in itself was cut. */
  protected override get isComplete(): boolean {
    const ends = [...this.#hasEnded.values()]
    return ends.length > 0 && ends.every(Boolean)
  }

  protected readEvent(frame: Sse, reply: JsonObject): void {
    this.reported = readGoogleUsage(reply.usageMetadata) ?? this.reported
    this.texts.add(frame, reply, { pieces: PIECES, channelOf: (steps) => channelOf(reply, steps) })
    for (const [at, candidate] of [reply.candidates ?? []].flat().entries())
      if (isObject(candidate)) this.#note(tokenCount(candidate.index) ?? at, candidate)
    if (isObject(reply.promptFeedback) && reply.promptFeedback.blockReason) this.#hasEnded.set(0, true)
    if (!reply.error) return
    this.errorStatus = statusOfError(reply.error)
    this.texts.end()
  }

  /** A text has also ended where a part of another kind follows, such as a call of a tool. */
  #note(index: number, { finishReason, content }: JsonObject): void {
    const isLast = isEndReason(finishReason)
    this.#hasEnded.set(index, isLast || this.#hasEnded.get(index) === true)
    const parts = isObject(content) ? [content.parts ?? []].flat() : []
    const isFollowed = parts.some((part) => isObject(part) && typeof part.text !== 'string')
    if (isLast || isFollowed) this.texts.end(`candidate${index}/`)
  }
}

const PIECES = /^candidates\/#\d+\/content\/parts\/#\d+\/text$/
const CANDIDATE = /^candidate\d+\//

/** The parts of a candidate follow each other: its thoughts are one text, and its answer is another. */
function channelOf(reply: JsonObject, steps: readonly Step[]): string {
  const [, candidate] = steps as [string, Exclude<Step, string>]
  const part = valueAt(reply, steps.slice(0, -1))
  return `candidate${candidate.index}/${isObject(part) && part.thought === true ? 'thought' : 'text'}`
}

const isEndReason = (reason: Json | undefined): boolean =>
  typeof reason === 'string' && /^[A-Z][A-Z_]*$/.test(reason) && reason !== 'FINISH_REASON_UNSPECIFIED'
