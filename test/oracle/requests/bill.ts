/**
 * The most that the vendors' documentation allows them to bill for a request, in tokens. Written from it, and knowing
 * nothing of how a hold is computed:
 *
 * - OpenAI, "Conversation state", "Reasoning", API reference "Create a response": an input item of no type with an id is a
 *   reference; stored items, responses and conversations are read again and billed as input.
 * - OpenAI, "Predicted Outputs": rejected tokens of a prediction are billed as output. "File inputs": text and images of
 *   all pages. "Images and vision": tokens of an image.
 * - Anthropic, "Tool use with Claude" (pricing): tokens of the system prompt and of each tool. "PDF support", "Files API".
 * - Google, "Understand and count tokens", "Context caching": recordings at their own price, 32 tokens a second.
 * - AWS, "Converse": `additionalModelRequestFields` overrides the inference configuration.
 *
 * A vendor that refuses a request bills nothing; which requests it refuses is not relied upon.
 */
import type { Json, JsonObject } from '../../../src/dialects/json.ts'
import { type AgentRequest, isRecord, listOf } from './request.ts'

/** Why a bill may be larger than a request looks. */
export type Reason =
  | 'untyped item'
  | 'stored item'
  | 'stored thread'
  | 'recording'
  | 'pages'
  | 'prediction'
  | 'own tools'
  | 'own limit'
  | 'unknown part'

export interface Bill {
  inputTokens: number
  /** Of these, at the price of recordings. */
  audioTokens: number
  outputTokens: number
  reasons: Set<Reason>
}

/** `window`: the model's context window. `answer`: tokens of its longest answer. */
export interface Model {
  window: number
  answer: number
}

export function worstBill({ dialect, body }: AgentRequest, model: Model): Bill {
  const bill = new Reading(model)
  READERS[dialect](body, bill)
  return bill.total()
}

class Reading {
  readonly #model: Model
  readonly reasons = new Set<Reason>()
  tokens = 0
  isAudio = false
  audioTokens = 0
  #isUnseen = false
  #limits: number[] = []
  #answers = 1
  predicted = 0

  constructor(model: Model) {
    this.#model = model
  }

  /** A byte-level tokenizer makes no more tokens than there are bytes. */
  text(value: Json | undefined): void {
    if (typeof value === 'string') this.tokens += Buffer.byteLength(value)
    else if (Array.isArray(value)) for (const item of value) this.text(item)
    else if (isRecord(value))
      for (const [name, item] of Object.entries(value)) {
        this.tokens += Buffer.byteLength(name)
        this.text(item)
      }
  }

  unseen(reason: Reason, isAudio = false): void {
    this.#isUnseen = true
    this.isAudio ||= isAudio
    this.reasons.add(reason)
  }

  more(tokens: number, reason: Reason): void {
    this.tokens += tokens
    this.reasons.add(reason)
  }

  /** At most 32 tokens a second, of at least a thousand bytes each. */
  recording(data: string): void {
    const tokens = Math.ceil((data.length * 32) / 1_000)
    this.tokens += tokens
    this.audioTokens += tokens
    this.reasons.add('recording')
  }

  picture(tokens: number): void {
    this.tokens += tokens
  }

  limit(value: Json | undefined): void {
    if (typeof value === 'number' && Number.isInteger(value) && value > 0) this.#limits.push(value)
  }

  answers(value: Json | undefined): void {
    if (typeof value === 'number' && Number.isInteger(value) && value > 0) this.#answers = value
  }

  total(): Bill {
    const each = this.#limits.length === 0 ? this.#model.answer : Math.max(...this.#limits)
    const inputTokens = this.#isUnseen ? Math.max(this.#model.window, this.tokens) : this.tokens
    return {
      inputTokens,
      audioTokens: this.#isUnseen && this.isAudio ? inputTokens : this.audioTokens,
      outputTokens: (Math.min(each, this.#model.answer) + this.predicted) * this.#answers,
      reasons: this.reasons,
    }
  }
}

const READERS: Record<AgentRequest['dialect'], (body: JsonObject, bill: Reading) => void> = {
  chat(body, bill) {
    bill.limit(body.max_completion_tokens)
    bill.limit(body.max_tokens)
    bill.answers(body.n)
    if (isRecord(body.prediction)) {
      const before = bill.tokens
      bill.text(body.prediction.content)
      bill.predicted = bill.tokens - before
      bill.tokens = before
      if (bill.predicted > 0) bill.reasons.add('prediction')
    }
    bill.text(body.tools)
    for (const message of listOf(body.messages)) {
      if (!isRecord(message)) continue
      bill.text([message.name ?? null, message.tool_calls ?? null])
      // A spoken answer of before.
      if (isRecord(message.audio) && typeof message.audio.id === 'string') bill.unseen('stored item', true)
      readParts(message.content, bill)
    }
  },

  responses(body, bill) {
    bill.limit(body.max_output_tokens)
    for (const thread of [body.previous_response_id, body.conversation, body.prompt])
      if (thread !== undefined && thread !== null) bill.unseen('stored thread', true)
    bill.text([body.instructions ?? null, body.tools ?? null])
    if (typeof body.input === 'string') bill.text(body.input)
    for (const item of listOf(body.input)) readItem(item, bill)
  },

  anthropic(body, bill) {
    bill.limit(body.max_tokens)
    const tools = listOf(body.tools)
    if (tools.length > 0) bill.more(346, 'own tools')
    for (const tool of tools) {
      const { type } = isRecord(tool) ? tool : {}
      if (typeof type === 'string') bill.more(OWN_TOOLS.find(([name]) => type.startsWith(name))?.[1] ?? 0, 'own tools')
      bill.text(isRecord(tool) ? [tool.name ?? null, tool.description ?? null, tool.input_schema ?? null] : null)
    }
    readParts(body.system, bill)
    for (const message of listOf(body.messages)) if (isRecord(message)) readParts(message.content, bill)
  },

  google(body, bill) {
    const config = body.generationConfig ?? body.generation_config
    if (isRecord(config)) {
      bill.limit(config.maxOutputTokens ?? config.max_output_tokens)
      bill.answers(config.candidateCount ?? config.candidate_count)
    }
    if (body.cachedContent ?? body.cached_content) bill.unseen('stored thread', true)
    bill.text(body.tools)
    const system = body.systemInstruction ?? body.system_instruction
    for (const content of [system, ...listOf(body.contents)])
      if (isRecord(content)) for (const part of listOf(content.parts)) readGooglePart(part, bill)
  },

  converse(body, bill) {
    const config = isRecord(body.inferenceConfig) ? body.inferenceConfig : {}
    const own = isRecord(body.additionalModelRequestFields)
      ? body.additionalModelRequestFields.inferenceConfig
      : undefined
    bill.limit(config.maxTokens)
    if (isRecord(own) && typeof own.maxTokens === 'number') {
      bill.limit(own.maxTokens)
      bill.reasons.add('own limit')
    }
    readBlocks(body.system, bill)
    for (const message of listOf(body.messages)) if (isRecord(message)) readBlocks(message.content, bill)
  },

  cohere(body, bill) {
    bill.limit(body.max_tokens)
    for (const message of listOf(body.messages)) if (isRecord(message)) readParts(message.content, bill)
  },
}

const OWN_TOOLS: readonly [string, number][] = [
  ['bash_', 245],
  ['text_editor_', 700],
  ['computer_', 735 + 499],
]

const has = (value: Json | undefined): boolean =>
  typeof value === 'string' ? value !== '' : Array.isArray(value) ? value.length > 0 : isRecord(value)

/** The parts of each item that are read, if the request has it; else the item stored under its id is read. */
const ITEM_TEXTS: Readonly<Record<string, readonly string[]>> = {
  message: ['content'],
  function_call: ['name', 'arguments'],
  function_call_output: ['output'],
  custom_tool_call: ['name', 'input'],
  custom_tool_call_output: ['output'],
  computer_call_output: ['output'],
  reasoning: ['encrypted_content'],
}

function readItem(item: Json, bill: Reading): void {
  if (typeof item === 'string') return bill.text(item)
  if (!isRecord(item)) return
  const isUntyped = item.type === undefined || item.type === null
  const type = isUntyped ? (typeof item.role === 'string' ? 'message' : 'item_reference') : item.type
  const texts = typeof type === 'string' && Object.hasOwn(ITEM_TEXTS, type) ? ITEM_TEXTS[type]! : []
  const given = texts.filter((name) => has(item[name]))
  if (given.length === 0) {
    if (typeof item.id === 'string' && item.id !== '') bill.unseen(isUntyped ? 'untyped item' : 'stored item', true)
    return
  }
  for (const name of given)
    name === 'content' || name === 'output' ? readParts(item[name], bill) : bill.text(item[name])
}

/** The least tokens of every vendor's largest picture: OpenAI's guide, 85 and 170 for each of eight tiles. */
const PICTURE_TOKENS = 1_445
const PAGES = new Set(['input_file', 'file'])
const PICTURES = new Set(['image_url', 'input_image', 'computer_screenshot', 'image'])
/** Fields of a part that are read. */
const PART_TEXTS = ['text', 'refusal', 'thinking', 'input', 'name', 'title', 'context', 'arguments']

function readParts(value: Json | undefined, bill: Reading): void {
  if (typeof value === 'string') return bill.text(value)
  if (isRecord(value)) return readPart(value, bill)
  for (const part of listOf(value)) typeof part === 'string' ? bill.text(part) : readParts(part, bill)
}

function readPart(part: JsonObject, bill: Reading): void {
  const type = typeof part.type === 'string' ? part.type : ''
  if (PAGES.has(type)) return bill.unseen('pages')
  if (type === 'container_upload') return bill.unseen('stored item')
  if (type === 'document') return readDocument(part, bill)
  if (PICTURES.has(type)) return bill.picture(PICTURE_TOKENS)
  if (type === 'input_audio') {
    const { data } = isRecord(part.input_audio) ? part.input_audio : {}
    return typeof data === 'string' ? bill.recording(data) : undefined
  }
  for (const name of PART_TEXTS) bill.text(part[name])
  if (type === 'tool_result' || type === 'search_result') readParts(part.content, bill)
}

/** Plain text is in the request; all else is pages. */
function readDocument({ source, title, context }: JsonObject, bill: Reading): void {
  if (!isRecord(source)) return
  bill.text([title ?? null, context ?? null])
  if (source.type === 'text') bill.text(source.data)
  else if (source.type === 'content') readParts(source.content, bill)
  else if (['base64', 'url', 'file'].includes(String(source.type))) bill.unseen('pages')
}

function readGooglePart(part: Json, bill: Reading): void {
  if (!isRecord(part)) return
  bill.text([part.text ?? null, part.functionCall ?? null])
  const file = part.fileData ?? part.file_data
  if (isRecord(file)) readGoogleFile(String(file.mimeType ?? file.mime_type), bill)
  const inline = part.inlineData ?? part.inline_data
  if (isRecord(inline)) {
    const type = String(inline.mimeType ?? inline.mime_type)
    if (/^image\//.test(type)) bill.picture(PICTURE_TOKENS)
    else if (/^text\//.test(type)) bill.text(inline.data)
    else if (/^audio\//.test(type)) {
      if (typeof inline.data === 'string') bill.recording(inline.data)
    } else readGoogleFile(type, bill)
  }
  const response = part.functionResponse ?? part.function_response
  if (!isRecord(response)) return
  bill.text(response.response)
  for (const one of listOf(response.parts)) readGooglePart(one, bill)
}

function readGoogleFile(type: string, bill: Reading): void {
  if (/^(audio|video)\//.test(type)) bill.unseen('recording', true)
  else bill.unseen('pages')
}

function readBlocks(value: Json | undefined, bill: Reading): void {
  for (const block of listOf(value)) {
    if (!isRecord(block)) continue
    bill.text([block.text ?? null, block.toolUse ?? null, block.json ?? null])
    if (isRecord(block.image)) bill.picture(PICTURE_TOKENS)
    if (isRecord(block.document)) bill.unseen('pages')
    if (isRecord(block.video)) bill.unseen('recording', true)
    if (isRecord(block.toolResult)) readBlocks(block.toolResult.content, bill)
  }
}
