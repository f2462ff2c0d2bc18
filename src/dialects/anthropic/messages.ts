/** Anthropic's Messages API. */
import { readContent } from '../content.ts'
import { serverTools, tokensForTools } from '../demands.ts'
import type { Demands, ServerTools } from '../dialect.ts'
import { type Format, type Redactions, type ReportedUsage, type Sse, tokenCount } from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { statusOfError } from '../stream-error.ts'
import { StreamTexts } from '../stream-texts.ts'
import { TextStream } from '../text-stream.ts'
import { tierTerms, UsageReader } from '../usage.ts'
import { ANTHROPIC_CONTENT } from './content.ts'
import { fields } from './fields.ts'

export const messages: Format = {
  name: 'messages',

  readCall: (body) => ({
    model: requireModel(body),
    stream: body.stream === true,
    maxOutputTokens: positiveInteger(body, 'max_tokens'),
    answers: 1,
    wantsUsage: true,
    demands: {
      ...readMessages(body),
      terms: [...tierTerms(body.speed), ...geoTerms(body.inference_geo)],
      unknownFields: readFields(body, FIELDS),
      serverTools: readServerTools(body),
    },
  }),

  prepare: (body, { clampTo, toolUses }) => ({
    ...body,
    ...(clampTo === null ? {} : { max_tokens: clampTo }),
    ...(toolUses === null ? {} : { tools: withUses(body.tools, toolUses) }),
  }),

  // No textOf: Anthropic publishes no tokenizer, so the bound by bytes applies.

  usageOf: (reply) => (isObject(reply.usage) ? readUsage(reply.usage) : undefined),

  readStream: (redact) => new MessageStream(redact),
}

const FIELDS = fieldsOf(
  ...['messages', 'system', 'max_tokens', 'stop_sequences', 'tools', 'tool_choice', 'mcp_servers', 'container'],
  ...['context_management', 'output_config', 'output_format', 'speed', 'inference_geo', 'cache_control'],
  ...['anthropic_version', 'anthropic_beta', 'betas'],
)

function readMessages(body: JsonObject): Demands {
  const content = readContent([body.system ?? null, body.messages ?? null], ANTHROPIC_CONTENT)
  return {
    ...content,
    // A container has the instructions of skills.
    isInputUnseen: content.isInputUnseen || isObject(body.container),
    toolTokens: Array.isArray(body.tools) && body.tools.length > 0 ? TOOLS_TOKENS + tokensForTools(body.tools) : 0,
    compactsFrom: compactionOf(body.context_management),
  }
}

/** Anthropic's overview of tool use (pricing): the most that it adds for having any. */
const TOOLS_TOKENS = 530

/** Returns the tokens from which the conversation is compacted, which is a separate call; null if it never is. */
function compactionOf(management: Json | undefined): number | null {
  const edits = isObject(management) && Array.isArray(management.edits) ? management.edits.filter(isObject) : []
  const from = edits.flatMap(({ type, trigger }) =>
    isFree(type) ? [] : [isObject(trigger) ? trigger.value : undefined],
  )
  return from.length === 0 ? null : Math.min(...from.map((tokens) => tokenCount(tokens) ?? LEAST_COMPACTION))
}

/** Clearing old content costs nothing. */
const isFree = (type: Json | undefined): boolean => /^clear_/.test(String(type))
/** Anthropic's guide "Compaction": the least that a trigger can be. */
const LEAST_COMPACTION = 50_000

/** Tools with a limit of uses, and MCP servers without one: there Anthropic's own loop ends after ten. */
function readServerTools(body: JsonObject): ServerTools | null {
  const tools = serverTools(body.tools)
  const servers = Array.isArray(body.mcp_servers) ? body.mcp_servers.length : 0
  const limits = tools.map((tool) => (isLimited(tool) ? positiveInteger(tool, 'max_uses') : LOOP_USES))
  if (servers > 0) limits.push(LOOP_USES)
  if (limits.length === 0) return null
  return { count: limits.length, uses: limits.includes(null) ? null : Math.max(...(limits as number[])) }
}

const LOOP_USES = 10

const isLimited = ({ type }: JsonObject): boolean => /^web_/.test(String(type))

/** Sets the limit of uses of each tool that has none or a higher one. */
const withUses = (tools: Json | undefined, uses: number): Json | undefined =>
  Array.isArray(tools)
    ? tools.map((tool) =>
        isObject(tool) && serverTools([tool]).length > 0 && isLimited(tool)
          ? { ...tool, max_uses: Math.min(positiveInteger(tool, 'max_uses') ?? uses, uses) }
          : tool,
      )
    : tools

function readUsage(usage: JsonObject): ReportedUsage | undefined {
  const read = new UsageReader(usage)
  const uncached = read.find('input_tokens')
  const answer = read.find('output_tokens')
  if (uncached === undefined || answer === undefined) return undefined
  const cachedInput = read.count('cache_read_input_tokens')
  const forFiveMinutes = read.count('cache_creation.ephemeral_5m_input_tokens')
  const cacheWriteHour = read.count('cache_creation.ephemeral_1h_input_tokens')
  const written = Math.max(read.count('cache_creation_input_tokens'), forFiveMinutes + cacheWriteHour)
  const webSearches = read.count('server_tool_use.web_search_requests')
  read.ignore(PARTS)
  const compacted = readIterations(usage.iterations)
  // Anthropic's input_tokens excludes cache reads and writes; servers that add OpenAI's name for it include them there.
  const input = Math.max(uncached + cachedInput + written, read.count('prompt_tokens'))
  const output = Math.max(answer, read.count('completion_tokens'))
  const beyond = read.beyond(input + output, read.count('total_tokens'))
  const unconfirmedTokens = (beyond.unconfirmedTokens ?? 0) + compacted.unconfirmedTokens
  const cost = read.cost()
  const terms = [...tierTerms(usage.service_tier), ...tierTerms(usage.speed), ...geoTerms(usage.inference_geo)]
  return {
    usage: {
      input: input + compacted.input,
      cachedInput,
      cacheWrite: written - cacheWriteHour,
      cacheWriteHour,
      output: output + compacted.output,
      ...(webSearches > 0 && { webSearches }),
      ...beyond,
      ...(unconfirmedTokens > 0 && { unconfirmedTokens }),
      ...(terms.length > 0 && { terms }),
    },
    ...(cost !== undefined && { cost }),
    isFinal: true,
    isRepaired: read.isRepaired,
  }
}

/** Included in other counts, at their price. */
const PARTS = ['cache_creation', 'input_tokens_details', 'output_tokens_details']

/** Usage of the steps within one call. The totals omit what compacting the conversation took, which is also charged. */
function readIterations(iterations: Json | undefined): { input: number; output: number; unconfirmedTokens: number } {
  const sums = { input: 0, output: 0, unconfirmedTokens: 0 }
  for (const step of Array.isArray(iterations) ? iterations : []) {
    if (!isObject(step) || step.type === 'message') continue
    const input = tokenCount(step.input_tokens) ?? 0
    const output = tokenCount(step.output_tokens) ?? 0
    if (step.type === 'compaction') {
      sums.input += input
      sums.output += output
    } else sums.unconfirmedTokens += input + output
  }
  return sums
}

const geoTerms = (geo: Json | undefined): string[] =>
  typeof geo === 'string' && geo !== '' && geo !== 'global' && geo !== 'not_available' ? [`inference_geo:${geo}`] : []

class MessageStream extends TextStream {
  readonly #redact: Redactions
  #usage: JsonObject = {}
  #hasFinalUsage = false
  #hasStopReason = false

  constructor(redact: Redactions) {
    super(new StreamTexts(redact, fields))
    this.#redact = redact
  }

  override usage(): ReportedUsage | undefined {
    const reported = readUsage(this.#usage)
    return reported && { ...reported, isFinal: this.#hasFinalUsage }
  }

  /** Some servers end without the last event, after a complete reply. */
  protected override get isComplete(): boolean {
    return this.#hasStopReason
  }

  protected readEvent(frame: Sse, event: JsonObject): void {
    const block = blockOf(event)
    switch (event.type) {
      case 'message_start':
        this.#addUsage(isObject(event.message) ? event.message.usage : undefined)
        return this.#whole(frame, event)
      case 'message_delta':
        // Cumulative: the last value counts.
        this.#addUsage(event.usage)
        this.#hasFinalUsage ||= isObject(event.usage) && tokenCount(event.usage.output_tokens) !== undefined
        this.#hasStopReason ||= isObject(event.delta) && typeof event.delta.stop_reason === 'string'
        return this.#whole(frame, event)
      case 'message_stop':
        this.isFinished = true
        this.texts.end()
        return this.#whole(frame, event)
      case 'content_block_start':
        this.#rememberStart(event)
        return this.#whole(frame, event, `start${block}`)
      case 'content_block_delta':
        return this.#delta(frame, event, block)
      case 'content_block_stop':
        this.texts.end(`${block}/`)
        return this.#whole(frame, event)
      case 'error':
        this.errorStatus = statusOfError(event.error)
        this.texts.end()
        return this.#whole(frame, event)
      default:
        return this.#whole(frame, event)
    }
  }

  #addUsage(usage: Json | undefined): void {
    if (!isObject(usage)) return
    // A later frame does not clear earlier values.
    const given = Object.entries(usage).filter(([, value]) => value !== null)
    this.#usage = { ...this.#usage, ...Object.fromEntries(given) }
  }

  #whole(frame: Sse, event: JsonObject, item = String(event.type)): void {
    this.texts.add(frame, event, { item })
  }

  /** Mostly empty; any text here continues in the deltas of its block. */
  #rememberStart(event: JsonObject): void {
    if (!isObject(event.content_block)) return
    for (const [field, text] of Object.entries(event.content_block)) {
      if (typeof text !== 'string' || text === '' || field === 'type') continue
      this.texts.began(`${blockOf(event)}/delta/${field}`, text)
      if (field === 'thinking') this.texts.follow(blockOf(event), text)
      if (field === 'text' || field === 'thinking') this.texts.delivered += text
    }
  }

  #delta(frame: Sse, event: JsonObject, block: string): void {
    const { delta } = event
    if (!isObject(delta) || delta.type !== 'signature_delta') {
      if (isObject(delta) && delta.type === 'thinking_delta') this.texts.follow(block)
      return this.texts.add(frame, event, { item: block, pieces: PIECES })
    }
    this.texts.end(`${block}/`)
    this.texts.add(frame, event, { item: `${block}:` }, { ...event, delta: this.#signed(delta, block) })
  }

  /** Thinking is complete once it is signed. If it was changed, the signature brings the original back. */
  #signed(delta: JsonObject, block: string): JsonObject {
    const thinking = this.texts.changed(block)
    if (thinking === undefined || typeof delta.signature !== 'string') return delta
    const original = { type: 'thinking', thinking, signature: delta.signature }
    return { ...delta, signature: this.#redact.signature(original) }
  }
}

const PIECES = /^delta\/(text|thinking|partial_json)$/

const blockOf = ({ index }: JsonObject): string => `block${tokenCount(index) ?? 0}`
