/** OpenAI's Responses API: typed events, several output items of several parts each. */
import { CageError } from '../../core/errors.ts'
import { addUnseen, readContent } from '../content.ts'
import { serverTools, tokensForTools, withoutImages } from '../demands.ts'
import type { Format, Redactions, ReportedUsage, Sse } from '../dialect.ts'
import { isObject, type Json, type JsonObject, positiveInteger, requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { statusOfError } from '../stream-error.ts'
import { StreamTexts } from '../stream-texts.ts'
import { TextStream } from '../text-stream.ts'
import type { TextPlace } from '../texts.ts'
import { tierTerms } from '../usage.ts'
import { responseContent } from './content.ts'
import { fields } from './fields.ts'
import { imageTokens, readOpenAiUsage } from './usage.ts'

export const responses: Format = {
  name: 'responses',

  readCall(body) {
    if (body.background !== undefined && body.background !== null && body.background !== false) {
      throw new CageError('price_unknown', 'background responses cannot be metered, so the call was not sent', {
        facts: { field: 'background' },
        hint: 'leave out "background"',
      })
    }
    const model = requireModel(body)
    const content = readContent([body.instructions ?? null, body.input ?? null], responseContent(imageTokens(model)))
    // Data stored at the provider is also read and charged.
    if ([body.conversation, body.prompt].some((stored) => stored != null)) addUnseen(content)
    const { previous_response_id: previous } = body
    return {
      model,
      stream: body.stream === true,
      maxOutputTokens: positiveInteger(body, 'max_output_tokens'),
      answers: 1,
      wantsUsage: true,
      demands: {
        ...content,
        references: [...content.references, ...(previous == null ? [] : [String(previous)])],
        toolTokens: tokensForTools(body.tools),
        compactsFrom: compactionOf(body.context_management),
        unknownFields: readFields(body, FIELDS),
        terms: tierTerms(body.service_tier),
        serverTools:
          serverTools(body.tools).length > 0 ? { count: 1, uses: positiveInteger(body, 'max_tool_calls') } : null,
      },
    }
  },

  prepare: (body, { clampTo, toolUses }) => ({
    ...body,
    ...(clampTo === null ? {} : { max_output_tokens: clampTo }),
    ...(toolUses === null ? {} : { max_tool_calls: toolUses }),
  }),

  textOf: (body) => withoutImages([body.instructions, body.input, body.tools, body.text]),

  usageOf: readResponseUsage,

  readStream: (redact) => new ResponseStream(redact),
}

/** Returns the tokens from which the conversation is compacted, which is a separate call; null if it never is. */
function compactionOf(management: Json | undefined): number | null {
  const given = [management ?? []].flat()
  const from = given.map((one) => (isObject(one) ? positiveInteger(one, 'compact_threshold') : null) ?? 0)
  return from.length === 0 ? null : Math.min(...from)
}

const FIELDS = fieldsOf(
  ...['input', 'instructions', 'max_output_tokens', 'max_tool_calls', 'tools', 'tool_choice', 'parallel_tool_calls'],
  ...['previous_response_id', 'conversation', 'prompt', 'background', 'include', 'text', 'truncation'],
  ...['context_management', 'client_metadata'],
)

/** Reads usage as a response reports it; searches are in its output. */
export function readResponseUsage({
  usage,
  service_tier,
  output: items,
  tools,
  id,
}: JsonObject): ReportedUsage | undefined {
  const searches = countOf(items, (item) => item.type === 'web_search_call' && isSearch(item))
  const isPreview = countOf(tools, (tool) => /^web_search_preview/.test(String(tool.type))) > 0
  const reported = readOpenAiUsage(usage, service_tier, {
    ...(searches > 0 && { [isPreview ? 'previewSearches' : 'webSearches']: searches }),
    fileSearches: countOf(items, (item) => item.type === 'file_search_call'),
  })
  return reported && { ...reported, stored: idsOf([{ id: id ?? null }, ...(Array.isArray(items) ? items : [])]) }
}

const idsOf = (items: readonly Json[]): string[] =>
  items.flatMap((item) => (isObject(item) && typeof item.id === 'string' && item.id !== '' ? [item.id] : []))

const countOf = (items: Json | undefined, matches: (item: JsonObject) => boolean): number =>
  Array.isArray(items) ? items.filter((item) => isObject(item) && matches(item)).length : 0

/** Opening a page and searching within it are free. */
const isSearch = ({ action }: JsonObject): boolean =>
  !isObject(action) || !/^(open_page|find|find_in_page)$/.test(String(action.type))

const LAST = new Set(['response.completed', 'response.incomplete', 'response.failed'])
const DELTA = /^response\.(.+)\.delta$/
/** Audio: each piece is separate base64. */
const SOUND = /^(output_)?audio$/
const PIECES = /^delta$/

class ResponseStream extends TextStream {
  /** The initial text of an output item, by its index. */
  readonly #added = new Map<Json, string>()
  readonly #items = new Set<string>()

  constructor(redact: Redactions) {
    super(new StreamTexts(redact, fields))
  }

  protected readEvent(frame: Sse, event: JsonObject): void {
    const type = String(event.type)
    const kind = DELTA.exec(type)?.[1]
    if (kind !== undefined) return this.#delta(kind, frame, event)
    const done = /^response\.(.+)\.done$/.exec(type)?.[1]
    if (done !== undefined) this.texts.end(`${itemOf(done, event)}/`)
    if (type.endsWith('.added')) this.#rememberAdded(event)
    if (LAST.has(type) || type === 'error') this.#last(type, event)
    this.texts.add(frame, event, { item: itemOf(type, event), isRepeated: true })
  }

  #delta(kind: string, frame: Sse, event: JsonObject): void {
    const item = itemOf(kind, event)
    this.#begin(item, event)
    this.texts.add(frame, event, SOUND.test(kind) ? { item } : { item, pieces: PIECES, place: placeOf(kind) })
  }

  #last(type: string, event: JsonObject): void {
    this.texts.end()
    const response = isObject(event.response) ? event.response : undefined
    if (response) this.reported = readResponseUsage(response)
    if (type === 'error' || type === 'response.failed')
      this.errorStatus = statusOfError(response?.error ?? event.error ?? event)
    else this.isFinished = true
  }

  /** The deltas of an item continue its initial text. */
  #rememberAdded({ item, part, output_index = 0 }: JsonObject): void {
    const texts = [item, part].flatMap((added) => (added === undefined ? [] : textsOf(added)))
    this.#added.set(output_index, (this.#added.get(output_index) ?? '') + texts.join(''))
  }

  #begin(item: string, { output_index = 0 }: JsonObject): void {
    if (this.#items.has(item)) return
    this.#items.add(item)
    const text = this.#added.get(output_index)
    if (text) this.texts.began(`${item}/delta`, text)
  }
}

/**
 * The key of one continuous text: same kind of part, same place in the same item. An item is identified by its index in
 * the output; some servers change its id in every event.
 */
const itemOf = (kind: string, { output_index, content_index, summary_index }: JsonObject): string =>
  `${kind}/${output_index ?? 0}/${content_index ?? summary_index ?? 0}`

const placeOf = (kind: string): TextPlace => (/arguments|input|code/.test(kind) ? 'tool_arguments' : 'reply')

const CONTINUED = new Set(['text', 'refusal', 'arguments', 'input', 'code'])

/** Returns the texts that deltas continue. */
function textsOf(value: Json, name = ''): string[] {
  if (typeof value === 'string') return CONTINUED.has(name) ? [value] : []
  if (Array.isArray(value)) return value.flatMap((item) => textsOf(item, name))
  if (!isObject(value)) return []
  return Object.entries(value).flatMap(([field, item]) => (item === undefined ? [] : textsOf(item, field)))
}
