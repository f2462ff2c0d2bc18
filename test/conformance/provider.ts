/**
 * A provider's reply, once, in every format: `plays` answers chat completions, responses, messages and embeddings,
 * whole and streamed, with the events, fields and order of the real ones. A turn is one answer; a client that sends the
 * results of tools back gets the next.
 */
import { type Script, sends, streams } from '../support/provider.ts'
import { askGoogle } from './google-provider.ts'
import { REDACTED_THINKING, signatureOf, type ToolCall, type Turn, USED } from './turn.ts'

export type DialectName = 'openai' | 'anthropic' | 'google'

/** The n-th request gets the n-th turn, those after the last turn the last. */
export function plays(...turns: Turn[]): Script {
  let played = 0
  return (response, received) => {
    const { pathname } = new URL(received.url, 'http://provider')
    const request = JSON.parse(received.body || '{}') as Request
    const google = askGoogle(received, turns[Math.min(played, turns.length - 1)]!)
    if (google) {
      if (google.isTurn) played += 1
      return google.answer(response)
    }
    const play = PATHS[pathname]
    if (hasChangedThinking(request.messages)) return sends(400, JSON_TYPE, CHANGED_THINKING)(response)
    if (!play)
      return sends(404, JSON_TYPE, { error: { message: `nothing at ${pathname}`, type: 'invalid_request_error' } })(
        response,
      )
    const turn = turns[Math.min(played, turns.length - 1)]!
    // Looking around is no turn.
    if (received.method === 'POST' && !pathname.endsWith('count_tokens')) played += 1
    const said = play(turn, request)
    return typeof said === 'string' ? streams(framesOf(said))(response) : sends(200, HEADERS, said)(response)
  }
}

const CHANGED_THINKING = {
  type: 'error',
  error: {
    type: 'invalid_request_error',
    message:
      'messages.1.content.0: `thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified. These blocks must remain as they were in the original response.',
  },
}

/** Whether a thinking block is not as it was signed. */
function hasChangedThinking(value: unknown): boolean {
  if (Array.isArray(value)) return value.some(hasChangedThinking)
  if (typeof value !== 'object' || value === null) return false
  const { type, thinking, signature, content } = value as Record<string, unknown>
  return type === 'thinking' ? signature !== signatureOf(String(thinking)) : hasChangedThinking(content)
}

/** Begins a streamed answer, and breaks the connection in the middle. */
export const breaksOff =
  (turn: Turn): Script =>
  (response, received) => {
    const google = askGoogle(received, turn)
    if (google) return streams(google.frames.slice(0, google.frames.length / 2), 'resets')(response)
    const play = PATHS[new URL(received.url, 'http://provider').pathname]!
    const frames = framesOf(String(play(turn, JSON.parse(received.body) as Request)))
    return streams(frames.slice(0, frames.length / 2), 'resets')(response)
  }

export interface Request {
  model?: string
  stream?: boolean
  stream_options?: { include_usage?: boolean }
  encoding_format?: string
  input?: unknown
  messages?: unknown
}

const JSON_TYPE = { 'content-type': 'application/json' }
const HEADERS = { ...JSON_TYPE, 'x-request-id': 'req_of_the_provider', 'request-id': 'req_of_the_provider' }

/** Each event in a separate write. */
const framesOf = (stream: string): string[] => stream.split(/(?<=\n\n)/)

/** A whole answer, or the text of an event stream. */
type Play = (turn: Turn, request: Request) => object | string

const PATHS: Readonly<Record<string, Play>> = {
  '/v1/chat/completions': (turn, request) => (request.stream ? chatStream(turn, request) : chat(turn, request)),
  '/v1/responses': (turn, request) => (request.stream ? responseStream(turn, request) : response(turn, request)),
  '/v1/messages': (turn, request) => (request.stream ? messageStream(turn, request) : message(turn, request)),
  '/v1/messages/count_tokens': () => ({ input_tokens: USED.input }),
  '/v1/embeddings': (_turn, request) => embeddings(request),
  '/v1/models': () => ({ object: 'list', data: [MODEL], has_more: false, first_id: MODEL.id, last_id: MODEL.id }),
  '/v1/responses/resp_1': (turn, request) => response(turn, request),
  '/v1/responses/resp_1/cancel': (turn, request) => response(turn, request),
  '/v1/responses/resp_1/input_items': () => ({ object: 'list', data: [], has_more: false }),
}

/** Fit for both dialects. */
const MODEL = {
  id: 'gpt-4o-mini',
  object: 'model',
  created: 1_700_000_000,
  owned_by: 'system',
  type: 'model',
  display_name: 'A model',
  created_at: '2026-01-01T00:00:00Z',
}

const textOf = ({ text = [] }: Turn): string => text.join('')
const argumentsOf = (call: ToolCall): string => call.arguments.join('')

// Chat completions

const chatUsage = ({ used = USED }: Turn) => ({
  prompt_tokens: used.input,
  completion_tokens: used.output,
  total_tokens: used.input + used.output,
  prompt_tokens_details: { cached_tokens: used.cached ?? 0, audio_tokens: 0 },
  completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
})

function chat(turn: Turn, { model }: Request): object {
  const tool_calls = turn.calls?.map((call, index) => ({
    id: `call_${index}`,
    type: 'function',
    function: { name: call.name, arguments: argumentsOf(call) },
    ...call.beside,
  }))
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content: turn.text ? textOf(turn) : null,
          refusal: null,
          annotations: [],
          ...(tool_calls && { tool_calls }),
        },
        logprobs: null,
        finish_reason: tool_calls ? 'tool_calls' : 'stop',
      },
    ],
    usage: chatUsage(turn),
    service_tier: 'default',
    system_fingerprint: 'fp_1',
  }
}

function chatStream(turn: Turn, { model, stream_options }: Request): string {
  const wantsUsage = stream_options?.include_usage === true
  const chunk = (choices: object[], usage: object | null = null) =>
    `data: ${JSON.stringify({
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model,
      service_tier: 'default',
      system_fingerprint: 'fp_1',
      choices,
      ...(wantsUsage && { usage }),
    })}\n\n`
  const delta = (fields: object, finish_reason: string | null = null) =>
    chunk([{ index: 0, delta: fields, logprobs: null, finish_reason }])
  const calls = (turn.calls ?? []).flatMap(({ name, arguments: pieces, beside }, index) => [
    delta({
      tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name, arguments: '' }, ...beside }],
    }),
    ...pieces.map((piece) => delta({ tool_calls: [{ index, function: { arguments: piece } }] })),
  ])
  return [
    delta({ role: 'assistant', content: turn.text ? '' : null, refusal: null }),
    ...(turn.text ?? []).map((content) => delta({ content })),
    ...calls,
    delta({}, turn.calls ? 'tool_calls' : 'stop'),
    ...(wantsUsage ? [chunk([], chatUsage(turn))] : []),
    'data: [DONE]\n\n',
  ].join('')
}

// Responses

const responseUsage = ({ used = USED }: Turn) => ({
  input_tokens: used.input,
  input_tokens_details: { cached_tokens: used.cached ?? 0 },
  output_tokens: used.output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: used.input + used.output,
})

type Item = ReturnType<typeof itemsOf>[number]

const itemsOf = (turn: Turn) => [
  ...(turn.text ? [{ type: 'message' as const, id: 'msg_0', role: 'assistant', pieces: turn.text }] : []),
  ...(turn.calls ?? []).map((call, index) => ({
    type: 'function_call' as const,
    id: `fc_${index}`,
    call_id: `call_${index}`,
    name: call.name,
    pieces: call.arguments,
  })),
]

const partOf = (text: string) => ({ type: 'output_text', text, annotations: [], logprobs: [] })

const showItem = ({ pieces, ...item }: Item, isDone: boolean): object => ({
  ...item,
  status: isDone ? 'completed' : 'in_progress',
  ...(item.type === 'message'
    ? { content: isDone ? [partOf(pieces.join(''))] : [] }
    : { arguments: isDone ? pieces.join('') : '' }),
})

function response(turn: Turn, { model }: Request, isDone = true): object {
  return {
    id: 'resp_1',
    object: 'response',
    created_at: 1_700_000_000,
    status: isDone ? 'completed' : 'in_progress',
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    model: model ?? MODEL.id,
    output: isDone ? itemsOf(turn).map((item) => showItem(item, true)) : [],
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    service_tier: 'default',
    store: true,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: 1,
    truncation: 'disabled',
    usage: isDone ? responseUsage(turn) : null,
    user: null,
    metadata: {},
  }
}

function responseStream(turn: Turn, request: Request): string {
  const events: { type: string; [field: string]: unknown }[] = [
    { type: 'response.created', response: response(turn, request, false) },
    { type: 'response.in_progress', response: response(turn, request, false) },
  ]
  for (const [output_index, item] of itemsOf(turn).entries()) {
    const place = { item_id: item.id, output_index }
    const whole = item.pieces.join('')
    events.push({ type: 'response.output_item.added', output_index, item: showItem(item, false) })
    if (item.type === 'message') {
      const part = { ...place, content_index: 0 }
      events.push(
        { type: 'response.content_part.added', ...part, part: partOf('') },
        ...item.pieces.map((delta) => ({ type: 'response.output_text.delta', ...part, delta, logprobs: [] })),
        { type: 'response.output_text.done', ...part, text: whole, logprobs: [] },
        { type: 'response.content_part.done', ...part, part: partOf(whole) },
      )
    } else {
      events.push(
        ...item.pieces.map((delta) => ({ type: 'response.function_call_arguments.delta', ...place, delta })),
        { type: 'response.function_call_arguments.done', ...place, name: item.name, arguments: whole },
      )
    }
    events.push({ type: 'response.output_item.done', output_index, item: showItem(item, true) })
  }
  events.push({ type: 'response.completed', response: response(turn, request) })
  return events
    .map((event, sequence_number) => `event: ${event.type}\ndata: ${JSON.stringify({ ...event, sequence_number })}\n\n`)
    .join('')
}

// Messages

const counted = ({ used = USED }: Turn) => ({
  input_tokens: used.input - (used.cached ?? 0),
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: used.cached ?? 0,
  output_tokens: used.output,
})
const messageUsage = (turn: Turn) => ({
  ...counted(turn),
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
  service_tier: 'standard',
})

const stopReason = ({ calls }: Turn): string => (calls ? 'tool_use' : 'end_turn')

function message(turn: Turn, { model }: Request): object {
  return {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content: [
      ...(turn.thinking
        ? [
            { type: 'thinking', thinking: turn.thinking.join(''), signature: signatureOf(turn.thinking.join('')) },
            { type: 'redacted_thinking', data: REDACTED_THINKING },
          ]
        : []),
      ...(turn.text ? [{ type: 'text', text: textOf(turn) }] : []),
      ...(turn.calls ?? []).map((call, index) => ({
        type: 'tool_use',
        id: `toolu_${index}`,
        name: call.name,
        input: JSON.parse(argumentsOf(call)) as object,
      })),
    ],
    stop_reason: stopReason(turn),
    stop_sequence: null,
    usage: messageUsage(turn),
  }
}

function messageStream(turn: Turn, { model }: Request): string {
  const frame = (event: { type: string; [field: string]: unknown }) =>
    `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`
  const blocks: { start: object; deltas: object[] }[] = []
  if (turn.thinking) {
    blocks.push({
      start: { type: 'thinking', thinking: '', signature: '' },
      deltas: [
        ...turn.thinking.map((thinking) => ({ type: 'thinking_delta', thinking })),
        { type: 'signature_delta', signature: signatureOf(turn.thinking.join('')) },
      ],
    })
    blocks.push({ start: { type: 'redacted_thinking', data: REDACTED_THINKING }, deltas: [] })
  }
  if (turn.text) {
    blocks.push({ start: { type: 'text', text: '' }, deltas: turn.text.map((text) => ({ type: 'text_delta', text })) })
  }
  for (const [index, call] of (turn.calls ?? []).entries()) {
    blocks.push({
      start: { type: 'tool_use', id: `toolu_${index}`, name: call.name, input: {} },
      deltas: ['', ...call.arguments].map((partial_json) => ({ type: 'input_json_delta', partial_json })),
    })
  }
  const empty = {
    id: 'msg_1',
    type: 'message',
    role: 'assistant',
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  }
  return [
    frame({ type: 'message_start', message: { ...empty, usage: { ...messageUsage(turn), output_tokens: 1 } } }),
    frame({ type: 'ping' }),
    ...blocks.flatMap(({ start, deltas }, index) => [
      frame({ type: 'content_block_start', index, content_block: start }),
      ...deltas.map((delta) => frame({ type: 'content_block_delta', index, delta })),
      frame({ type: 'content_block_stop', index }),
    ]),
    frame({
      type: 'message_delta',
      delta: { stop_reason: stopReason(turn), stop_sequence: null },
      usage: counted(turn),
    }),
    frame({ type: 'message_stop' }),
  ].join('')
}

// Embeddings

function embeddings({ model, input, encoding_format }: Request): object {
  const vector = [0.25, -0.5, 1]
  const embedding =
    encoding_format === 'base64' ? Buffer.from(new Float32Array(vector).buffer).toString('base64') : vector
  const count = Array.isArray(input) && typeof input[0] !== 'number' ? input.length : 1
  return {
    object: 'list',
    data: Array.from({ length: count }, (_, index) => ({ object: 'embedding', index, embedding })),
    model,
    usage: { prompt_tokens: USED.input, total_tokens: USED.input },
  }
}
