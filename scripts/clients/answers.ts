/** A turn as Bedrock, Cohere and Ollama write it, whole and streamed. The other formats are those of the conformance tests. */
import { plays } from '../../test/conformance/provider.ts'
import { type Turn, USED } from '../../test/conformance/turn.ts'
import { type AwsEvent, encodeEvent, wrapped } from '../../test/support/event-stream.ts'
import { type Received, type Script, sends, streams } from '../../test/support/provider.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** Answers a request in the format of its path. */
export const answers =
  (turn: Turn): Script =>
  (response, received) => {
    const { pathname } = new URL(received.url, 'http://provider')
    const own = OWN.find(([path]) => path.test(pathname))
    return own ? own[1](turn, received)(response, received) : plays(turn)(response, known(received, pathname))
  }

/** The format is known by the end of the path; what stands before it is the vendor's. */
function known(received: Received, pathname: string): Received {
  const end = /(chat\/completions|responses|messages|embeddings|models)$/.exec(pathname)
  return end ? { ...received, url: `/v1/${end[1]}` } : received
}

type Play = (turn: Turn, received: Received) => Script

const text = ({ text: pieces = [] }: Turn): string => pieces.join('')
const callsOf = ({ calls = [] }: Turn) =>
  calls.map(({ name, arguments: pieces }, at) => ({
    id: `call_${at}`,
    name,
    json: pieces.join(''),
    input: JSON.parse(pieces.join('')),
  }))

// Amazon Bedrock

const COUNTED = { inputTokens: USED.input, outputTokens: USED.output, totalTokens: USED.input + USED.output }
const EVENTS = 'application/vnd.amazon.eventstream'

const converse: Play = (turn) => {
  const uses = callsOf(turn).map(({ id, name, input }) => ({ toolUse: { toolUseId: id, name, input } }))
  const content = turn.text ? [{ text: text(turn) }] : uses
  const stopReason = turn.text ? 'end_turn' : 'tool_use'
  return sends(200, JSON_TYPE, {
    output: { message: { role: 'assistant', content } },
    ...{ stopReason, usage: COUNTED, metrics: { latencyMs: 9 } },
  })
}

function* converseEvents({ text: pieces = [] }: Turn): Generator<Buffer> {
  const events = function* (): Generator<AwsEvent> {
    yield { type: 'messageStart', data: { role: 'assistant', p: 'abc' } }
    for (const piece of pieces) {
      yield { type: 'contentBlockDelta', data: { contentBlockIndex: 0, delta: { text: piece }, p: 'abcdefgh' } }
    }
    yield { type: 'contentBlockStop', data: { contentBlockIndex: 0 } }
    yield { type: 'messageStop', data: { stopReason: 'end_turn' } }
    yield { type: 'metadata', data: { usage: COUNTED, metrics: { latencyMs: 9 } } }
  }
  for (const event of events()) yield encodeEvent(event)
}

/** Anthropic's events, each in one of AWS. */
function* invokeEvents({ text: pieces = [] }: Turn): Generator<Buffer> {
  const usage = { input_tokens: USED.input, output_tokens: 1 }
  const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'x', content: [], usage }
  const end = { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: { output_tokens: USED.output } }
  const events = function* (): Generator<object> {
    yield { type: 'message_start', message }
    yield { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }
    for (const piece of pieces) {
      yield { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: piece } }
    }
    yield { type: 'content_block_stop', index: 0 }
    yield end
    yield { type: 'message_stop' }
  }
  for (const event of events()) yield encodeEvent(wrapped(event))
}

/** Anthropic's messages behind another path, which names whether they are streamed. */
const messages =
  (stream: boolean): Play =>
  (turn, received) =>
  (response) =>
    plays(turn)(response, { ...received, url: '/v1/messages', body: JSON.stringify({ ...asked(received), stream }) })

const asked = ({ body }: Received) => JSON.parse(body) as Record<string, unknown>

// Ollama

const ollama: Play = (turn, received) => {
  const { model, stream } = asked(received)
  const about = { model, created_at: '2026-11-20T08:52:19.385406455-07:00' }
  const tool_calls = callsOf(turn).map(({ name, input }) => ({ function: { name, arguments: input } }))
  const said = (content: string) => ({ message: { role: 'assistant', content, ...(turn.calls && { tool_calls }) } })
  const end = {
    ...{ done: true, done_reason: 'stop', total_duration: 5_043_500_667 },
    ...{ prompt_eval_count: USED.input, eval_count: USED.output },
  }
  if (stream !== true) return sends(200, JSON_TYPE, { ...about, ...said(text(turn)), ...end })
  const lines = function* (): Generator<string> {
    for (const piece of turn.text ?? ['']) yield `${JSON.stringify({ ...about, ...said(piece), done: false })}\n`
    yield `${JSON.stringify({ ...about, message: { role: 'assistant', content: '' }, ...end })}\n`
  }
  return streams(lines(), 'ends', 'application/x-ndjson')
}

// Cohere

const BILLED = { input_tokens: USED.input, output_tokens: USED.output }

const cohere: Play = (turn, received) => {
  const usage = { billed_units: BILLED, tokens: BILLED }
  const finish_reason = turn.text ? 'COMPLETE' : 'TOOL_CALL'
  const calls = callsOf(turn).map(({ id, name, json }) => ({
    ...{ id, type: 'function' },
    function: { name, arguments: json },
  }))
  const said = turn.text ? { content: [{ type: 'text', text: text(turn) }] } : { tool_plan: '', tool_calls: calls }
  if (asked(received).stream !== true) {
    return sends(200, JSON_TYPE, { id: 'c-1', finish_reason, message: { role: 'assistant', ...said }, usage })
  }
  const event = (type: string, message?: object, index?: number) => {
    const data = { type, ...(index !== undefined && { index }), ...(message && { delta: { message } }) }
    return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`
  }
  const events = function* (): Generator<string> {
    yield event('message-start', { role: 'assistant', content: [] })
    yield event('content-start', { content: { type: 'text', text: '' } }, 0)
    for (const piece of turn.text ?? []) yield event('content-delta', { content: { text: piece } }, 0)
    yield event('content-end', undefined, 0)
    const end = { type: 'message-end', delta: { finish_reason, usage } }
    yield `event: message-end\ndata: ${JSON.stringify(end)}\n\n`
  }
  return streams(events())
}

const OWN: readonly (readonly [path: RegExp, play: Play])[] = [
  [/^\/model\/[^/]+\/converse$/, converse],
  [/^\/model\/[^/]+\/converse-stream$/, (turn) => streams(converseEvents(turn), 'ends', EVENTS)],
  [/^\/model\/[^/]+\/invoke$/, messages(false)],
  [/^\/model\/[^/]+\/invoke-with-response-stream$/, (turn) => streams(invokeEvents(turn), 'ends', EVENTS)],
  [/\/anthropic\/models\/[^/]+:rawPredict$/, messages(false)],
  [/\/anthropic\/models\/[^/]+:streamRawPredict$/, messages(true)],
  [/\/api\/chat$/, ollama],
  [/\/v2\/chat$/, cohere],
]
