/** Bedrock's Converse and its stream. */
import { CageError } from '../../core/errors.ts'
import { addImage, addUnseen } from '../content.ts'
import { requireClientTools } from '../demands.ts'
import {
  type Demands,
  type Format,
  type MutableDemands,
  type Redactions,
  type Sse,
  TEXT_ONLY,
  tokenCount,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { unpricedField } from '../request-fields.ts'
import { statusOfName } from '../stream-error.ts'
import { StreamTexts } from '../stream-texts.ts'
import { TextStream } from '../text-stream.ts'
import { tierTerms } from '../usage.ts'
import { fields } from './fields.ts'
import { readConverseUsage } from './usage.ts'

const conversing = (name: string, isStream: boolean): Format => ({
  name,

  readCall: (body) => ({
    model: requireModel(body),
    stream: isStream,
    maxOutputTokens: limitIn(body),
    answers: 1,
    wantsUsage: true,
    mayThink: Object.keys(objectIn(body, 'additionalModelRequestFields')).some((field) => THINKING.test(field)),
    demands: readDemands(body),
  }),

  // The path names the model.
  prepare: (body, { clampTo }) => ({
    ...body,
    model: undefined,
    ...(clampTo !== null && limitedTo(body, clampTo)),
  }),

  // No textOf: the models have tokenizers of their own, so the bound by bytes applies.

  usageOf: readConverseUsage,

  readStream: (redact) => new ConverseStream(redact),
})

export const converse = conversing('converse', false)
export const converseStream = conversing('converse-stream', true)

/** Amazon's models take another limit as well. */
function limitIn(body: JsonObject): number | null {
  const limits = [objectIn(body, 'inferenceConfig'), ownConfig(body)].map((config) =>
    positiveInteger(config, 'maxTokens'),
  )
  const given = limits.filter((limit) => limit !== null)
  return given.length === 0 ? null : Math.max(...given)
}

function limitedTo(body: JsonObject, maxTokens: number): JsonObject {
  const inferenceConfig = { ...objectIn(body, 'inferenceConfig'), maxTokens }
  const own = ownConfig(body)
  if (own.maxTokens === undefined) return { inferenceConfig }
  const fields = objectIn(body, 'additionalModelRequestFields')
  return { inferenceConfig, additionalModelRequestFields: { ...fields, inferenceConfig: { ...own, maxTokens } } }
}

const ownConfig = (body: JsonObject): JsonObject =>
  objectIn(objectIn(body, 'additionalModelRequestFields'), 'inferenceConfig')

const THINKING = /^(thinking|reasoning)/

const FIELDS: ReadonlySet<string> = new Set([
  ...['model', 'messages', 'system', 'inferenceConfig', 'toolConfig', 'additionalModelRequestFields'],
  ...['additionalModelResponseFieldPaths', 'requestMetadata', 'performanceConfig', 'serviceTier', 'outputConfig'],
])

/** Fields of a model's own, which Bedrock hands on without reading them. */
const MODEL_FIELDS: ReadonlySet<string> = new Set([
  ...['thinking', 'reasoning_config', 'reasoningConfig', 'reasoning_effort', 'top_k', 'topK', 'anthropic_beta'],
  ...['inferenceConfig', 'tool_choice', 'output_config'],
])

function objectIn(body: JsonObject, field: string): JsonObject {
  const value = body[field] ?? {}
  if (isObject(value)) return value
  throw new CageError('bad_request', `"${field}" must be an object`, { facts: { field } })
}

/** Maximum tokens of one image: Anthropic's models read the most. */
const IMAGE_TOKENS = 4_784

function readDemands(body: JsonObject): Demands {
  // Guardrails and prompts by name are read and priced apart.
  for (const field of ['guardrailConfig', 'promptVariables']) if (body[field] != null) throw unpricedField(field)
  const own = objectIn(body, 'additionalModelRequestFields')
  requireClientTools(own.tools)
  requireToolSpecs(objectIn(body, 'toolConfig').tools)
  const found = { ...TEXT_ONLY, imageTokens: IMAGE_TOKENS }
  readBlocks(body.system, found)
  for (const message of [body.messages ?? []].flat()) if (isObject(message)) readBlocks(message.content, found)
  const latency = objectIn(body, 'performanceConfig').latency
  return {
    ...found,
    terms: [...tierTerms(objectIn(body, 'serviceTier').type), ...tierTerms(latency)],
    unknownFields: [...unknownIn(body, FIELDS), ...unknownIn(own, MODEL_FIELDS)],
  }
}

const unknownIn = (fields: JsonObject, known: ReadonlySet<string>): string[] =>
  Object.keys(fields).filter((name) => !known.has(name) && fields[name] != null)

/** Throws CageError `price_unknown` for a tool that Bedrock runs. */
function requireToolSpecs(tools: Json | undefined): void {
  for (const tool of [tools ?? []].flat()) {
    const hosted = isObject(tool) && Object.keys(tool).find((name) => name !== 'toolSpec' && name !== 'cachePoint')
    if (!hosted) continue
    throw new CageError('price_unknown', `the cost of the tool "${hosted}" is unknown, so the call was not sent`, {
      facts: { tool: hosted, field: 'toolConfig' },
      hint: `leave "${hosted}" out of "toolConfig"`,
    })
  }
}

/** Blocks whose tokens are in the request. */
const TEXTS: ReadonlySet<string> = new Set(['text', 'toolUse', 'reasoningContent', 'cachePoint', 'json'])

function readBlocks(blocks: Json | undefined, found: MutableDemands): void {
  for (const block of [blocks ?? []].flat()) {
    if (!isObject(block)) continue
    for (const [kind, value] of Object.entries(block)) {
      if (kind === 'image') addImage(isObject(value) ? (value.source ?? null) : null, found)
      else if (kind === 'toolResult') readBlocks(isObject(value) ? value.content : undefined, found)
      else if (kind === 'document') found.isInputUnseen = true
      // Videos, and unknown parts.
      else if (!TEXTS.has(kind)) addUnseen(found)
    }
  }
}

/** Reads a stream of events: blocks whose texts arrive in pieces, a stop, and the usage. */
class ConverseStream extends TextStream {
  readonly #redact: Redactions
  #hasStopped = false

  constructor(redact: Redactions) {
    super(new StreamTexts(redact, fields))
    this.#redact = redact
  }

  /** The usage may be missing after a complete reply. */
  protected override get isComplete(): boolean {
    return this.#hasStopped
  }

  protected readEvent(frame: Sse, event: JsonObject): void {
    const block = blockOf(event)
    const { delta } = event
    if (EXCEPTION.test(frame.event ?? '')) {
      this.errorStatus = statusOfName(frame.event!) ?? 500
      this.texts.end()
    }
    if (frame.event === 'contentBlockStop') this.texts.end(`${block}/`)
    if (frame.event === 'messageStop') this.#hasStopped = true
    if (frame.event === 'metadata') {
      this.reported = readConverseUsage(event)
      this.isFinished = true
      this.texts.end()
    }
    if (frame.event !== 'contentBlockDelta') return this.texts.add(frame, event, { item: `${frame.event}${block}` })
    if (!isWhole(delta)) {
      if (isObject(delta) && isObject(delta.reasoningContent)) this.texts.follow(block)
      return this.texts.add(frame, event, { item: block, pieces: PIECES })
    }
    this.texts.end(`${block}/`)
    this.texts.add(frame, event, { item: `${block}:` }, this.#signed(event, delta, block))
  }

  /** If a thought was changed, its signature brings the original back. */
  #signed(event: JsonObject, delta: JsonObject, block: string): JsonObject {
    const { reasoningContent: thought } = delta
    const text = this.texts.changed(block)
    if (text === undefined || !isObject(thought) || typeof thought.signature !== 'string') return event
    const signature = this.#redact.signature({ text, signature: thought.signature })
    return { ...event, delta: { ...delta, reasoningContent: { ...thought, signature } } }
  }
}

const EXCEPTION = /Exception$/
const PIECES = /^delta\/(text|reasoningContent\/text|toolUse\/input)$/

/** A signature ends a thought; citations and hidden thoughts are complete. */
function isWhole(delta: Json | undefined): delta is JsonObject {
  if (!isObject(delta)) return false
  const { reasoningContent: thought } = delta
  return delta.citation !== undefined || (isObject(thought) && thought.text === undefined)
}

const blockOf = ({ contentBlockIndex }: JsonObject): string => `block${tokenCount(contentBlockIndex) ?? 0}`
