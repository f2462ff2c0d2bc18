/**
 * The provider of the tasks: answers the first turn with the call of a tool, and the turn with its result with a text;
 * reads the second one partly from its cache, and adds up its bill.
 */
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'

/** Those of claude-haiku-4-5, in nanodollars a token: LiteLLM's proxy reports a cost at its own list, and the larger one is charged. */
export const PRICES = { input: 1_000, cached: 100, output: 5_000 }
/** The result of each client's tool, and the model's answer to it. */
export const RESULT = '4 degrees in Oslo'
export const FINAL = 'Oslo has 4 degrees.'
/** As Google signs the thoughts before a call: without it, to the letter, the next turn is refused. */
const SIGNATURE = Buffer.from('what the model thought, for its eyes alone '.repeat(9)).toString('base64')

/** A client's tool, and its arguments. */
export interface Tool {
  name: string
  input: object
}

interface Counts {
  input: number
  cached: number
  output: number
}

interface Turn {
  text: string
  call: Tool | undefined
  counts: Counts
}

export class TaskProvider {
  billedNanos = 0
  requests = 0
  readonly #tool: Tool
  /** Its answer to a request without tools, such as an edit of a file. */
  readonly #plain: string
  readonly #server = createServer((request, response) => {
    void text(request).then((body) => this.#answer(request.url ?? '', body, response))
  })

  private constructor(tool: Tool, plain: string) {
    this.#tool = tool
    this.#plain = plain
  }

  static async open(tool: Tool, plain = 'Hello.'): Promise<TaskProvider> {
    const provider = new TaskProvider(tool, plain)
    await new Promise<void>((listening) => void provider.#server.listen(0, '127.0.0.1', listening))
    return provider
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }

  #answer(url: string, body: string, response: ServerResponse): void {
    const write = Object.entries(FORMATS).find(([end]) => url.split('?', 1)[0]!.endsWith(end))?.[1]
    if (!write || body === '') return void response.writeHead(404, JSON_TYPE).end('{"error":{"message":"not found"}}')
    const asked = JSON.parse(body) as { stream?: boolean; tools?: object[] }
    const isSecond = body.includes(RESULT)
    const hasTool = JSON.stringify(asked.tools ?? []).includes(`"${this.#tool.name}"`)
    if (isSecond && body.includes('extra_content') && !body.includes(SIGNATURE)) {
      return void response.writeHead(400, JSON_TYPE).end('{"error":{"message":"Corrupted thought signature."}}')
    }
    const counts = { input: isSecond ? 20 : 10, cached: isSecond ? 8 : 0, output: 12 }
    this.requests += 1
    this.billedNanos +=
      (counts.input - counts.cached) * PRICES.input + counts.cached * PRICES.cached + counts.output * PRICES.output
    const call = hasTool && !isSecond ? this.#tool : undefined
    write({ text: isSecond ? FINAL : this.#plain, call, counts }, asked.stream === true, response)
  }
}

const JSON_TYPE = { 'content-type': 'application/json' }
type Write = (turn: Turn, isStream: boolean, response: ServerResponse) => void

const pieces = (whole: string): string[] => whole.match(/.{1,7}/gs) ?? []
const send = (response: ServerResponse, json: object) =>
  void response.writeHead(200, JSON_TYPE).end(JSON.stringify(json))

function stream(response: ServerResponse, events: readonly object[], end = ''): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  for (const event of events) {
    response.write(`${'type' in event ? `event: ${event.type}\n` : ''}data: ${JSON.stringify(event)}\n\n`)
  }
  response.end(end)
}

const chat: Write = ({ text, call, counts }, isStream, response) => {
  const usage = {
    prompt_tokens: counts.input,
    completion_tokens: counts.output,
    total_tokens: counts.input + counts.output,
    prompt_tokens_details: { cached_tokens: counts.cached },
  }
  const head = { id: 'chatcmpl-1', created: 1_764_000_000, model: 'gpt-4o-mini' }
  const finish_reason = call ? 'tool_calls' : 'stop'
  const given = JSON.stringify(call?.input)
  const signed = { extra_content: { google: { thought_signature: SIGNATURE } } }
  const called = (args: string) => ({
    ...{ id: 'call_1', type: 'function', function: { name: call!.name, arguments: args } },
    ...signed,
  })
  const message = { role: 'assistant', content: call ? null : text, ...(call && { tool_calls: [called(given)] }) }
  if (!isStream) {
    return send(response, {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason }],
      usage,
    })
  }
  const chunk = (delta: object, finish: string | null = null) => ({
    ...head,
    ...{ object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] },
  })
  const deltas = call
    ? [
        { tool_calls: [{ index: 0, ...called('') }] },
        ...pieces(given).map((piece) => ({ tool_calls: [{ index: 0, function: { arguments: piece } }] })),
      ]
    : pieces(text).map((content) => ({ content }))
  const start = chunk({ role: 'assistant', content: '' })
  const usageChunk = { ...head, object: 'chat.completion.chunk', choices: [], usage }
  stream(
    response,
    [start, ...deltas.map((delta) => chunk(delta)), chunk({}, finish_reason), usageChunk],
    'data: [DONE]\n\n',
  )
}

const messages: Write = ({ text, call, counts }, isStream, response) => {
  const usage = {
    input_tokens: counts.input - counts.cached,
    cache_read_input_tokens: counts.cached,
    cache_creation_input_tokens: 0,
    output_tokens: counts.output,
  }
  const block = call ? { type: 'tool_use', id: 'toolu_1', name: call.name, input: call.input } : { type: 'text', text }
  const head = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_sequence: null }
  const stop_reason = call ? 'tool_use' : 'end_turn'
  if (!isStream) return send(response, { ...head, content: [block], stop_reason, usage })
  const deltas = call
    ? pieces(JSON.stringify(call.input)).map((piece) => ({ type: 'input_json_delta', partial_json: piece }))
    : pieces(text).map((piece) => ({ type: 'text_delta', text: piece }))
  const empty = call ? { ...block, input: {} } : { type: 'text', text: '' }
  stream(response, [
    {
      type: 'message_start',
      message: { ...head, content: [], stop_reason: null, usage: { ...usage, output_tokens: 1 } },
    },
    { type: 'content_block_start', index: 0, content_block: empty },
    ...deltas.map((delta) => ({ type: 'content_block_delta', index: 0, delta })),
    { type: 'content_block_stop', index: 0 },
    { type: 'message_delta', delta: { stop_reason, stop_sequence: null }, usage: { output_tokens: counts.output } },
    { type: 'message_stop' },
  ])
}

const responses: Write = ({ text, call, counts }, isStream, response) => {
  const usage = {
    input_tokens: counts.input,
    input_tokens_details: { cached_tokens: counts.cached },
    output_tokens: counts.output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: counts.input + counts.output,
  }
  const content = [{ type: 'output_text', text, annotations: [] }]
  const item = call
    ? { type: 'function_call', id: 'fc_1', call_id: 'call_1', name: call.name, arguments: JSON.stringify(call.input) }
    : { type: 'message', id: 'msg_1', role: 'assistant', status: 'completed', content }
  const whole = (status: string, output: object[], more: object = {}) => ({
    ...{ id: 'resp_1', object: 'response', created_at: 1_764_000_000, model: 'gpt-4o-mini', status, output },
    ...more,
  })
  const done = whole('completed', [item], { usage })
  if (!isStream) return send(response, done)
  const deltas = call
    ? []
    : pieces(text).map((delta) => ({ type: 'response.output_text.delta', item_id: 'msg_1', output_index: 0, delta }))
  const events = [
    { type: 'response.created', response: whole('in_progress', []) },
    { type: 'response.output_item.added', output_index: 0, item: call ? item : { ...item, content: [] } },
    ...deltas.map((delta) => ({ ...delta, content_index: 0 })),
    { type: 'response.output_item.done', output_index: 0, item },
    { type: 'response.completed', response: done },
  ]
  stream(
    response,
    events.map((event, sequence_number) => ({ ...event, sequence_number })),
  )
}

const FORMATS: Readonly<Record<string, Write>> = {
  '/chat/completions': chat,
  '/messages': messages,
  '/responses': responses,
}
