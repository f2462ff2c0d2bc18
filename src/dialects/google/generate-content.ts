/** Google's generateContent and its stream. */
import { CageError } from '../../core/errors.ts'
import {
  type Demands,
  type Format,
  parseFrame,
  type Redactions,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  TEXT_ONLY,
  tokenCount,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { readFields, unpricedField } from '../request-fields.ts'
import { StreamTexts } from '../stream-texts.ts'
import { tierTerms } from '../usage.ts'
import { fields } from './fields.ts'
import { bothSpellings, fieldOf, spellingOf } from './spelling.ts'
import { readGoogleUsage } from './usage.ts'

const generate = (name: string, isStream: boolean): Format => ({
  name,
  ...(isStream && { streamsArray: true as const }),

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
  return {
    ...found,
    // A cache was read before this request.
    isInputUnseen: found.isInputUnseen || fieldOf(body, 'cachedContent') != null,
    audioOutput: answersIn.includes('AUDIO'),
    imageOutput: answersIn.includes('IMAGE'),
  }
}

const PRICED_MODALITIES: ReadonlySet<string> = new Set(['TEXT', 'AUDIO', 'IMAGE'])

type MutableDemands = { -readonly [Name in keyof Demands]: Demands[Name] }

function readParts(content: Json | undefined, found: MutableDemands): void {
  const parts = isObject(content) ? content.parts : undefined
  for (const part of Array.isArray(parts) ? parts : [parts]) if (isObject(part)) readPart(part, found)
}

function readPart(part: JsonObject, found: MutableDemands): void {
  const inline = fieldOf(part, 'inlineData')
  if (isObject(inline)) readMedia(inline, found)
  const response = fieldOf(part, 'functionResponse')
  if (isObject(response)) readParts(response, found)
  if (fieldOf(part, 'fileData') !== undefined || !Object.keys(part).every((name) => KNOWN_PART.has(name)))
    found.isInputUnseen = true
}

const KNOWN_PART: ReadonlySet<string> = new Set(
  bothSpellings([
    ...['text', 'thought', 'thoughtSignature', 'inlineData', 'functionCall', 'functionResponse', 'executableCode'],
    ...['codeExecutionResult', 'mediaResolution', 'partMetadata'],
  ]),
)

/** The length of an image, recording or document is not the number of its tokens. */
function readMedia(inline: JsonObject, found: MutableDemands): void {
  const type = String(fieldOf(inline, 'mimeType'))
  if (/^image\//i.test(type)) {
    found.images += 1
    found.imageBytes += typeof inline.data === 'string' ? inline.data.length : 0
  } else if (/^audio\//i.test(type)) found.audioInput = true
  else if (!/^text\//i.test(type)) found.isInputUnseen = true
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

/** Where parts are: the frame, the candidate and its content, without them. */
interface Place {
  head: JsonObject
  index: Json | undefined
  content: JsonObject
  /** What marks the part as a thought. */
  flags?: JsonObject
}

/** Reads a stream: each frame is a reply whose candidates hold the next parts. */
class ContentStream implements StreamReader {
  isFinished = false
  readonly #texts: StreamTexts<Place>
  #usage: ReportedUsage | undefined
  /** The kind of text that each candidate is in the middle of. */
  readonly #open = new Map<string, string>()
  #hasEnd = false
  /** Frames that may be the last ones: they are sent when the stream has ended. */
  #last: Sse[] = []

  constructor(redact: Redactions) {
    this.#texts = new StreamTexts(redact, fields, ({ flags, ...place }, rest) =>
      this.#partsFrame(place, [{ ...(rest as JsonObject), ...flags }]),
    )
  }

  get deliveredText(): string {
    return this.#texts.delivered
  }

  usage(): ReportedUsage | undefined {
    return this.#usage && { ...this.#usage, isFinal: this.#hasEnd }
  }

  read(frame: Sse): Sse[] {
    const reply = parseFrame(frame)
    if (reply.error) throw new CageError('provider_reply_invalid', 'the provider ended the stream with an error')
    this.#usage = readGoogleUsage(reply.usageMetadata) ?? this.#usage
    const { candidates, ...head } = reply
    const before = this.#last.splice(0)
    const frames = Array.isArray(candidates) ? this.#candidates(candidates, head) : [asFrame(this.#texts.whole(head))]
    if (isObject(reply.promptFeedback) && reply.promptFeedback.blockReason) this.#hasEnd = true
    if (!this.#hasEnd) return [...before, ...frames]
    this.#last = frames
    return before
  }

  /** A stream that has no end in itself was cut. */
  end(): Sse[] {
    this.isFinished = this.#hasEnd
    return this.#hasEnd ? [...this.#texts.end(), ...this.#last.splice(0)] : []
  }

  #candidates(candidates: Json[], head: JsonObject): Sse[] {
    const frames: Sse[] = []
    const kept = candidates
      .map((candidate) => this.#candidate(candidate, head, frames))
      .filter((candidate) => candidate !== undefined)
    // Everything in the frame is held back; its usage comes again.
    return kept.length === 0 && candidates.length > 0 ? frames : [...frames, this.#frame(head, kept)]
  }

  /** Returns the candidate with what may be sent of its parts; undefined if that is nothing. Adds frames before it. */
  #candidate(given: Json, head: JsonObject, frames: Sse[]): Json | undefined {
    if (!isObject(given)) return this.#texts.whole(given, 'candidate')
    // Tokens would reveal the text that is held back.
    const { content: givenContent, logprobsResult: _tokens, ...others } = given
    const item = `candidate${tokenCount(given.index) ?? 0}`
    const { parts, ...about }: JsonObject = isObject(givenContent) ? givenContent : {}
    const content = this.#texts.whole(about, `${item}/content`)
    const place = {
      head: { modelVersion: head.modelVersion, responseId: head.responseId },
      index: given.index,
      content,
    }
    let collected: Json[] = []
    const endText = () => {
      const rest = this.#endOf(item)
      if (rest.length === 0) return
      if (collected.length > 0) frames.push(this.#partsFrame(place, collected))
      collected = []
      frames.push(...rest)
    }
    for (const part of [parts ?? []].flat()) {
      if (this.#open.get(item) !== kindOf(part)) endText()
      const shown = this.#part(part, item, place)
      if (shown !== undefined) collected.push(shown)
    }
    const isEnd = isEndReason(given.finishReason)
    if (isEnd) endText()
    this.#hasEnd ||= isEnd
    const isHeldBack = parts !== undefined && collected.length === 0
    if (isHeldBack && Object.keys(others).every((name) => name === 'index')) return undefined
    const shown: Json[] = isHeldBack ? [{ text: '' }] : collected
    return {
      ...(givenContent !== undefined && { content: { ...content, ...(parts !== undefined && { parts: shown }) } }),
      ...this.#texts.whole(others, item),
    }
  }

  /** Returns the redacted part; undefined if all of it is held back. */
  #part(part: Json, item: string, place: Place): Json | undefined {
    const kind = kindOf(part)
    this.#open.set(item, kind)
    if (kind === 'whole') return this.#texts.whole(part, `${item}/part`)
    const { text, ...others } = part as JsonObject & { text: string }
    const safe = this.#texts.pieces({ text }, `${item}/${kind}`, { ...place, flags: flagsOf(others) })
    const flags = this.#texts.whole(others, `${item}/${kind}:`)
    const isHeldBack = safe === undefined && text !== '' && Object.keys(others).every((name) => name === 'thought')
    return isHeldBack ? undefined : { text: '', ...(safe as JsonObject | undefined), ...flags }
  }

  /** Returns frames with the text held back of a candidate. */
  #endOf(item: string): Sse[] {
    const kind = this.#open.get(item)
    return kind === undefined ? [] : this.#texts.end(`${item}/${kind}`)
  }

  #partsFrame({ head, index, content }: Place, parts: Json[]): Sse {
    return this.#frame(head, [{ content: { ...content, parts }, ...(index !== undefined && { index }) }])
  }

  #frame(head: JsonObject, candidates: Json[]): Sse {
    return asFrame({ candidates, ...this.#texts.whole(head) })
  }
}

/** Thoughts and the answer are separate texts; any other part is complete. */
const kindOf = (part: Json): 'thought' | 'text' | 'whole' =>
  isObject(part) && typeof part.text === 'string' ? (part.thought === true ? 'thought' : 'text') : 'whole'

const flagsOf = ({ thought }: JsonObject): JsonObject => (thought === true ? { thought } : {})

const asFrame = (reply: JsonObject): Sse => ({ event: null, data: JSON.stringify(reply) })

const isEndReason = (reason: Json | undefined): boolean =>
  typeof reason === 'string' && /^[A-Z][A-Z_]*$/.test(reason) && reason !== 'FINISH_REASON_UNSPECIFIED'
