/** OpenAI's Responses API: typed events, several output items of several parts each. */
import { CageError } from '../../errors.ts'
import { readContent, serverTools, withoutImages } from '../demands.ts'
import {
  type Format,
  parseFrame,
  type RedactPieces,
  type ReportedUsage,
  type Sse,
  type StreamReader,
  type TextPlace,
} from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { tierTerms, UsageReader } from '../usage.ts'
import { asReported, imageTokens } from './usage.ts'

export const responses: Format = {
  readCall(body) {
    if (body.background === true) {
      throw new CageError('price_unknown', 'a response in the background ends when nobody counts, so it was not sent', {
        facts: { field: 'background' },
        hint: 'leave out "background"',
      })
    }
    const model = requireModel(body)
    const content = readContent(body.input, imageTokens(model))
    return {
      model,
      stream: body.stream === true,
      maxOutputTokens: positiveInteger(body, 'max_output_tokens'),
      answers: 1,
      wantsUsage: true,
      demands: {
        ...content,
        // What the provider has stored is read as well, and paid for.
        isInputUnseen:
          content.isInputUnseen ||
          [body.previous_response_id, body.conversation, body.prompt].some((stored) => stored != null),
        terms: tierTerms(body.service_tier),
        serverTools:
          serverTools(body.tools).length > 0 ? { count: 1, uses: positiveInteger(body, 'max_tool_calls') } : null,
      },
    }
  },

  prepare: (body, _stream, clampTo, toolUses) => ({
    ...body,
    ...(clampTo === null ? {} : { max_output_tokens: clampTo }),
    ...(toolUses === null ? {} : { max_tool_calls: toolUses }),
  }),

  textOf: (body) => () => withoutImages([body.instructions, body.input, body.tools, body.text]),

  usageOf: readResponseUsage,

  redactReply: (reply, redact) => redactResponse(reply, redact),

  readStream: (redact) => new ResponseStream(redact),
}

/** Usage as a response tells it; searches stand in its output. */
export function readResponseUsage({
  usage,
  service_tier,
  output: items,
  tools,
}: JsonObject): ReportedUsage | undefined {
  if (!isObject(usage)) return undefined
  const read = new UsageReader(usage)
  const input = read.find('input_tokens')
  const output = read.find('output_tokens')
  if (input === undefined || output === undefined) return undefined
  read.ignore(...PARTS)
  const searches = countOf(items, (item) => item.type === 'web_search_call' && isSearch(item))
  const isPreview = countOf(tools, (tool) => /^web_search_preview/.test(String(tool.type))) > 0
  return asReported(read, service_tier, {
    input,
    output,
    cachedInput: read.count('input_tokens_details.cached_tokens'),
    cacheWrite: read.count('input_tokens_details.cache_write_tokens'),
    audioInput: read.count('input_tokens_details.audio_tokens'),
    audioOutput: read.count('output_tokens_details.audio_tokens'),
    total: read.count('total_tokens'),
    [isPreview ? 'previewSearches' : 'webSearches']: searches,
    fileSearches: countOf(items, (item) => item.type === 'file_search_call'),
  })
}

/** Within what was counted already, at its price. */
const PARTS = [
  'input_tokens_details.text_tokens',
  'input_tokens_details.image_tokens',
  'output_tokens_details.reasoning_tokens',
  'output_tokens_details.text_tokens',
]

const countOf = (items: Json | undefined, matches: (item: JsonObject) => boolean): number =>
  Array.isArray(items) ? items.filter((item) => isObject(item) && matches(item)).length : 0

/** Opening a page that was found, and looking for a word in it, cost nothing. */
const isSearch = ({ action }: JsonObject): boolean =>
  !isObject(action) || !/^(open_page|find|find_in_page)$/.test(String(action.type))

type RedactText = (text: string, place: TextPlace) => string

/** Which fields hold text that a model wrote, and where that stands. */
const TEXTS: Readonly<Record<string, TextPlace>> = {
  text: 'reply',
  output_text: 'reply',
  refusal: 'reply',
  delta: 'reply',
  arguments: 'tool_arguments',
  code: 'tool_arguments',
  input: 'tool_arguments',
}

/** A response within a reply or an event; only its output was written by the model. */
function redactResponse(response: JsonObject, redact: RedactText): JsonObject {
  if (!Array.isArray(response.output)) return response
  return { ...response, output: response.output.map((item) => redactItem(item, redact)) }
}

/** An output item, or a part of one, however deep. The tokens beside a text would tell it all the same. */
function redactItem(value: Json, redact: RedactText): Json {
  if (Array.isArray(value)) return value.map((item) => redactItem(item, redact))
  if (!isObject(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      const place = TEXTS[name]
      if (place && typeof item === 'string') return [name, redact(item, place)]
      if (name === 'logprobs') return [name, []]
      return [name, item === undefined ? item : redactItem(item, redact)]
    }),
  )
}

const LAST = new Set(['response.completed', 'response.incomplete', 'response.failed'])
const DELTA = /^response\.(.+)\.delta$/
const DONE = /^response\.(.+)\.done$/

class ResponseStream implements StreamReader {
  isFinished = false
  deliveredText = ''
  readonly #redact: RedactPieces
  /** The last delta of each text that is still open, to tell its rest in the same way. */
  readonly #open = new Map<string, { frame: Sse; event: JsonObject }>()
  #lastNumber = -1
  #usage: ReportedUsage | undefined

  constructor(redact: RedactPieces) {
    this.#redact = redact
  }

  usage(): ReportedUsage | undefined {
    return this.#usage
  }

  read(frame: Sse): Sse[] {
    const event = parseFrame(frame)
    const type = String(event.type)
    if (type === 'error') throw new CageError('provider_reply_invalid', 'the provider ended the stream with an error')
    if (LAST.has(type)) return this.#last(frame, event)
    const kind = DELTA.exec(type)?.[1]
    if (kind !== undefined && typeof event.delta === 'string') return this.#delta(kind, frame, event, event.delta)
    const done = DONE.exec(type)?.[1]
    const tail = done === undefined ? [] : this.#tail(channelOf(done, event))
    return [...tail, this.#again(frame, event)]
  }

  #delta(kind: string, frame: Sse, event: JsonObject, text: string): Sse[] {
    const channel = channelOf(kind, event)
    this.#open.set(channel, { frame, event })
    const safe = this.#redact.push(channel, text, placeOf(kind))
    this.deliveredText += safe
    return safe ? [this.#tell(frame, withDelta(event, safe))] : []
  }

  /** What is still held back of a text leaves before its end. */
  #tail(channel: string): Sse[] {
    const open = this.#open.get(channel)
    if (!open) return []
    this.#open.delete(channel)
    const tail = this.#redact.end(channel)
    this.deliveredText += tail
    return tail ? [this.#tell(open.frame, withDelta(open.event, tail))] : []
  }

  #last(frame: Sse, event: JsonObject): Sse[] {
    this.isFinished = true
    if (isObject(event.response)) this.#usage = readResponseUsage(event.response)
    const tails = [...this.#open.keys()].flatMap((channel) => this.#tail(channel))
    return [...tails, this.#again(frame, event)]
  }

  /** Events that tell whole texts once more: they were judged when they came in pieces. */
  #again(frame: Sse, event: JsonObject): Sse {
    const redact = (text: string, place: TextPlace) => this.#redact.again(text, place)
    const response = isObject(event.response) ? redactResponse(event.response, redact) : undefined
    const { response: _told, ...rest } = event
    const safe = redactItem(rest, redact) as JsonObject
    return this.#tell(frame, { ...safe, ...(response && { response }) })
  }

  /** Numbers rise from event to event, also after a rest that the provider did not number. */
  #tell({ event: name }: Sse, event: JsonObject): Sse {
    const { sequence_number: number } = event
    if (typeof number !== 'number') return { event: name, data: JSON.stringify(event) }
    this.#lastNumber = Math.max(this.#lastNumber + 1, number)
    return { event: name, data: JSON.stringify({ ...event, sequence_number: this.#lastNumber }) }
  }
}

/** One continuous text: the same kind of part, at the same place of the same item. */
const channelOf = (kind: string, { item_id, output_index, content_index, summary_index }: JsonObject): string =>
  `${kind}/${item_id ?? output_index ?? 0}/${content_index ?? summary_index ?? 0}`

const placeOf = (kind: string): TextPlace => (/arguments|input|code/.test(kind) ? 'tool_arguments' : 'reply')

const withDelta = (event: JsonObject, delta: string): JsonObject => ({
  ...event,
  delta,
  ...('logprobs' in event ? { logprobs: [] } : {}),
})
