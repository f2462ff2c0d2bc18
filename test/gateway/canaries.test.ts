/**
 * Only data that is known to be harmless passes: replies, streams, errors and requests of unexpected shapes, through
 * the real gateway. In the environment, CANARIES sets the number of cases, a quarter of them in each test, and
 * FIRST_CANARY the number of the first one, so that several processes can share the work.
 */
import { createParser } from 'eventsource-parser'
import { describe, expect, test } from 'vitest'
import type { Json, JsonObject } from '../../src/dialects/json.ts'
import { newMasterKey } from '../../src/vault/master-key.ts'
import { cut, pick, plant, plantInStream, type Random, randomOf, textsIn } from '../support/canaries.ts'
import { decodeEvents, encodeEvent, wrapped } from '../support/event-stream.ts'
import { sends, streams } from '../support/provider.ts'
import { openTestRuntime, PRICES, type Reply, type TestAgent, type TestRuntime } from '../support/runtime.ts'

const CASES = Number(process.env.CANARIES ?? 3_000)
const FIRST_CASE = Number(process.env.FIRST_CANARY ?? 0)
const SECRET = 'prod-secret-of-the-company-7788'
const EMAIL = 'jane.roe@corp-canary.com'

const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
const counted = { input_tokens: 10, output_tokens: 5 }
const CALL = { function: { name: 'look_up', arguments: '{"a":"b"}' }, id: 'call_1', type: 'function', index: 0 }

/** One route: a request, a whole reply and the frames of a stream, as they are in an ordinary call. */
interface Route {
  provider: 'openai' | 'anthropic' | 'google' | 'ollama' | 'bedrock' | 'cohere'
  path: string
  /** Where it is streamed. (Default: at the same path, with "stream" in the body.) */
  streamPath?: string
  request: JsonObject
  reply: JsonObject
  frames?: JsonObject[]
  end?: string | JsonObject
  /** How its streams are written. (Default: as server-sent events.) */
  wire?: Wire
}

interface Wire {
  type: string
  write(frames: readonly JsonObject[]): string | Buffer
  read(text: string): Json[]
}

const LINES: Wire = {
  type: 'application/x-ndjson',
  write: (frames) => frames.map((frame) => `${JSON.stringify(frame)}\n`).join(''),
  read: (text) =>
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Json),
}

/** Each frame has its type beside its data. */
const AWS_EVENTS: Wire = {
  type: 'application/vnd.amazon.eventstream',
  write: (frames) => Buffer.concat(frames.map(({ event, ...data }) => encodeEvent({ type: String(event), data }))),
  read: (text) => decodeEvents(Buffer.from(text, 'latin1')).map(({ type, data }) => ({ type, ...data }) as Json),
}

/** Events of Anthropic's in those of AWS. */
const WRAPPED: Wire = {
  ...AWS_EVENTS,
  write: (frames) => Buffer.concat(frames.map((frame) => encodeEvent(wrapped(frame)))),
  read: (text) =>
    decodeEvents(Buffer.from(text, 'latin1')).map(({ data }) =>
      JSON.parse(Buffer.from(String(data.bytes), 'base64').toString()),
    ) as Json[],
}

const chunk = (choice: JsonObject, more: JsonObject = {}): JsonObject => ({
  id: 'chatcmpl-1',
  object: 'chat.completion.chunk',
  created: 1_700_000_000,
  model: 'plain',
  choices: [{ index: 0, finish_reason: null, ...choice }],
  ...more,
})

const OLLAMA_CALL = { function: { name: 'look_up', arguments: { a: 'b', c: ['d'] } } }

/** A reply of Gemini, or a frame of its stream. */
const content = (parts: JsonObject[], more: JsonObject = {}): JsonObject => ({
  candidates: [{ content: { parts, role: 'model' }, index: 0, ...more }],
  usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
  modelVersion: 'plain',
  responseId: 'r_1',
})

const ROUTES: Route[] = [
  {
    provider: 'openai',
    path: '/chat/completions',
    request: {
      model: 'plain',
      max_tokens: 50,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: [{ type: 'text', text: 'Who?' }] },
      ],
      tools: [
        { type: 'function', function: { name: 'look_up', description: 'Looks up.', parameters: { type: 'object' } } },
      ],
    },
    reply: {
      id: 'chatcmpl-1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'plain',
      system_fingerprint: 'fp_1',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Hello there.', refusal: null, tool_calls: [CALL], annotations: [] },
          logprobs: { content: [{ token: 'Hello', bytes: [72, 101], logprob: -0.1, top_logprobs: [] }] },
          finish_reason: 'stop',
        },
      ],
      usage,
    },
    frames: [
      chunk({ delta: { role: 'assistant', content: '' } }),
      chunk({ delta: { content: 'Hello ' } }),
      chunk({ delta: { content: 'there.' } }),
      chunk({ delta: { reasoning_content: 'I think.' } }),
      chunk({ delta: { tool_calls: [CALL] } }),
      chunk({ delta: { tool_calls: [{ index: 0, function: { arguments: '"c"' } }] } }),
      chunk({ delta: {}, finish_reason: 'stop' }),
      chunk({ delta: { content: 'After.' } }),
      { id: 'chatcmpl-1', object: 'chat.completion.chunk', model: 'plain', choices: [], usage },
    ],
    end: 'data: [DONE]\n\n',
  },
  {
    provider: 'openai',
    path: '/completions',
    request: { model: 'plain', max_tokens: 50, prompt: 'Who?' },
    reply: {
      id: 'cmpl-1',
      object: 'text_completion',
      model: 'plain',
      choices: [{ index: 0, text: 'Hello.', finish_reason: 'stop' }],
      usage,
    },
    frames: [
      {
        id: 'cmpl-1',
        object: 'text_completion',
        model: 'plain',
        choices: [{ index: 0, text: 'Hello ', finish_reason: null }],
      },
      {
        id: 'cmpl-1',
        object: 'text_completion',
        model: 'plain',
        choices: [{ index: 0, text: 'there.', finish_reason: 'stop' }],
      },
      { id: 'cmpl-1', object: 'text_completion', model: 'plain', choices: [], usage },
    ],
    end: 'data: [DONE]\n\n',
  },
  {
    provider: 'openai',
    path: '/responses',
    request: {
      model: 'plain',
      max_output_tokens: 50,
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'Who?' }] }],
    },
    reply: {
      id: 'resp_1',
      object: 'response',
      status: 'completed',
      model: 'plain',
      output: [
        { id: 'rs_1', type: 'reasoning', summary: [{ type: 'summary_text', text: 'Thought.' }] },
        { id: 'ws_1', type: 'web_search_call', status: 'completed', action: { type: 'search', query: 'who' } },
        { id: 'fc_1', type: 'function_call', call_id: 'call_1', name: 'look_up', arguments: '{"a":1}' },
        {
          id: 'msg_1',
          type: 'message',
          role: 'assistant',
          content: [{ type: 'output_text', text: 'Hello.', annotations: [] }],
        },
      ],
      usage: counted,
    },
    frames: [
      { type: 'response.created', sequence_number: 0, response: { id: 'resp_1', output: [] } },
      {
        type: 'response.output_item.added',
        sequence_number: 1,
        output_index: 0,
        item: { id: 'msg_1', type: 'message', content: [] },
      },
      {
        type: 'response.content_part.added',
        sequence_number: 2,
        output_index: 0,
        content_index: 0,
        item_id: 'msg_1',
        part: { type: 'output_text', text: '' },
      },
      {
        type: 'response.output_text.delta',
        sequence_number: 3,
        output_index: 0,
        content_index: 0,
        item_id: 'msg_1',
        delta: 'Hello ',
      },
      {
        type: 'response.output_text.delta',
        sequence_number: 4,
        output_index: 0,
        content_index: 0,
        item_id: 'msg_1',
        delta: 'there.',
      },
      {
        type: 'response.function_call_arguments.delta',
        sequence_number: 5,
        output_index: 1,
        item_id: 'fc_1',
        delta: '{"a":',
      },
      { type: 'response.mcp_call.in_progress', sequence_number: 6, output_index: 2, item_id: 'mcp_1' },
      {
        type: 'response.output_text.done',
        sequence_number: 7,
        output_index: 0,
        content_index: 0,
        item_id: 'msg_1',
        text: 'Hello there.',
      },
    ],
    end: `data: ${JSON.stringify({ type: 'response.completed', sequence_number: 8, response: { id: 'resp_1', output: [], usage: counted } })}\n\n`,
  },
  {
    provider: 'openai',
    path: '/embeddings',
    request: { model: 'plain', input: ['Who?'] },
    reply: {
      object: 'list',
      model: 'plain',
      data: [{ object: 'embedding', index: 0, embedding: [0.1, -0.2] }],
      usage: { prompt_tokens: 3, total_tokens: 3 },
    },
  },
  {
    provider: 'anthropic',
    path: '/v1/messages',
    request: {
      model: 'plain',
      max_tokens: 50,
      system: [{ type: 'text', text: 'Be brief.' }],
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Who?' }] }],
      tools: [{ name: 'look_up', description: 'Looks up.', input_schema: { type: 'object' } }],
    },
    reply: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'plain',
      content: [
        { type: 'thinking', thinking: 'I think.', signature: Buffer.alloc(96, 's').toString('base64') },
        {
          type: 'text',
          text: 'Hello.',
          citations: [{ type: 'char_location', cited_text: 'Hello', document_index: 0 }],
        },
        { type: 'tool_use', id: 'toolu_1', name: 'look_up', input: { a: 'b' } },
      ],
      stop_reason: 'end_turn',
      stop_sequence: null,
      usage: counted,
    },
    frames: [
      {
        type: 'message_start',
        message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'plain', content: [], usage: counted },
      },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'ping' },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello ' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'there.' } },
      {
        type: 'content_block_delta',
        index: 0,
        delta: { type: 'citations_delta', citation: { type: 'char_location', cited_text: 'x' } },
      },
      { type: 'content_block_stop', index: 0 },
      {
        type: 'content_block_start',
        index: 1,
        content_block: { type: 'tool_use', id: 'toolu_1', name: 'look_up', input: {} },
      },
      { type: 'content_block_delta', index: 1, delta: { type: 'input_json_delta', partial_json: '{"a":' } },
      { type: 'content_block_stop', index: 1 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: counted },
    ],
    end: `event: message_stop\ndata: {"type":"message_stop"}\n\n`,
  },
  {
    provider: 'google',
    path: '/v1beta/models/plain:generateContent',
    streamPath: '/v1beta/models/plain:streamGenerateContent?alt=sse',
    request: {
      contents: [{ role: 'user', parts: [{ text: 'Who?' }] }],
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      tools: [{ functionDeclarations: [{ name: 'look_up', description: 'Looks up.' }] }],
      generationConfig: { maxOutputTokens: 50 },
    },
    reply: content(
      [
        { text: 'I think.', thought: true },
        { text: 'Hello.' },
        {
          functionCall: { name: 'look_up', args: { a: 'b' } },
          thoughtSignature: Buffer.alloc(96, 's').toString('base64'),
        },
      ],
      {
        finishReason: 'STOP',
        safetyRatings: [{ category: 'HARM_CATEGORY_HARASSMENT', probability: 'NEGLIGIBLE' }],
        citationMetadata: { citationSources: [{ startIndex: 0, endIndex: 5, uri: 'https://example.com' }] },
        logprobsResult: { chosenCandidates: [{ token: 'Hello', logProbability: -0.1 }] },
      },
    ),
    frames: [
      content([{ text: 'I ', thought: true }]),
      content([{ text: 'think.', thought: true }, { text: 'Hel' }]),
      content([{ text: 'lo ' }]),
      content([{ functionCall: { name: 'look_up', args: { a: 'b' } } }]),
      content([{ text: 'there.' }], { groundingMetadata: { webSearchQueries: ['who'] } }),
      content([{ text: '' }], { finishReason: 'STOP' }),
    ],
    end: `data: ${JSON.stringify(content([{ text: '' }], { finishReason: 'STOP' }))}\n\n`,
  },
  {
    provider: 'google',
    path: '/v1beta/models/plain:embedContent',
    request: { content: { parts: [{ text: 'Who?' }] } },
    reply: { embedding: { values: [0.1, -0.2] }, modelVersion: 'plain' },
  },
  {
    provider: 'ollama',
    path: '/api/chat',
    request: {
      model: 'plain',
      stream: false,
      messages: [{ role: 'user', content: 'Who?' }],
      tools: [{ type: 'function', function: { name: 'look_up', description: 'Looks up.' } }],
      options: { num_predict: 50, stop: ['x'] },
    },
    reply: {
      model: 'plain',
      created_at: '2026-11-20T08:52:19Z',
      message: { role: 'assistant', content: 'Hello.', thinking: 'I think.', tool_calls: [OLLAMA_CALL] },
      done: true,
      done_reason: 'stop',
      prompt_eval_count: 10,
      eval_count: 5,
    },
    frames: [
      { model: 'plain', message: { role: 'assistant', content: '', thinking: 'I think.' }, done: false },
      { model: 'plain', message: { role: 'assistant', content: 'Hel' }, done: false },
      { model: 'plain', message: { role: 'assistant', content: 'lo.' }, done: false },
      { model: 'plain', message: { role: 'assistant', content: '', tool_calls: [OLLAMA_CALL] }, done: false },
      { model: 'plain', response: 'Hello', thinking: 'Hm.', context: [1_234, 5_678], done: false },
    ],
    end: {
      ...{ model: 'plain', message: { role: 'assistant', content: '' } },
      ...{ done: true, prompt_eval_count: 10, eval_count: 5 },
    },
    wire: LINES,
  },
  {
    provider: 'ollama',
    path: '/api/generate',
    request: { model: 'plain', stream: false, prompt: 'Who?', options: { num_predict: 50 } },
    reply: { model: 'plain', response: 'Hello.', thinking: 'Hm.', done: true, prompt_eval_count: 10, eval_count: 5 },
    frames: [
      { model: 'plain', response: '', thinking: 'Hm.', done: false },
      { model: 'plain', response: 'Hel', done: false },
      { model: 'plain', response: 'lo.', done: false },
    ],
    end: { model: 'plain', response: '', done: true, prompt_eval_count: 10, eval_count: 5 },
    wire: LINES,
  },
  {
    provider: 'ollama',
    path: '/api/embed',
    request: { model: 'plain', input: ['Who?'] },
    reply: { model: 'plain', embeddings: [[0.1, -0.2]], prompt_eval_count: 3 },
  },
  {
    provider: 'bedrock',
    path: '/model/plain/converse',
    streamPath: '/model/plain/converse-stream',
    request: {
      messages: [{ role: 'user', content: [{ text: 'Who?' }] }],
      system: [{ text: 'Be brief.' }, { cachePoint: { type: 'default' } }],
      inferenceConfig: { maxTokens: 50, stopSequences: ['x'] },
      toolConfig: { tools: [{ toolSpec: { name: 'look_up', inputSchema: { json: { type: 'object' } } } }] },
    },
    reply: {
      output: {
        message: {
          role: 'assistant',
          content: [
            {
              reasoningContent: {
                reasoningText: { text: 'I think.', signature: Buffer.alloc(96, 's').toString('base64') },
              },
            },
            { text: 'Hello.' },
            { toolUse: { toolUseId: 't-1', name: 'look_up', input: { a: 'b' } } },
          ],
        },
      },
      stopReason: 'end_turn',
      usage: { inputTokens: 10, outputTokens: 5, totalTokens: 15 },
      trace: { promptRouter: { invokedModelId: 'x' } },
    },
    frames: [
      { event: 'messageStart', role: 'assistant', p: 'abc' },
      { event: 'contentBlockDelta', contentBlockIndex: 0, delta: { reasoningContent: { text: 'I think.' } } },
      { event: 'contentBlockDelta', contentBlockIndex: 0, delta: { text: 'Hello ' }, p: 'abcdef' },
      { event: 'contentBlockDelta', contentBlockIndex: 0, delta: { text: 'there.' } },
      { event: 'contentBlockDelta', contentBlockIndex: 0, delta: { citation: { title: 'x', source: 'y' } } },
      { event: 'contentBlockStop', contentBlockIndex: 0 },
      { event: 'contentBlockStart', contentBlockIndex: 1, start: { toolUse: { toolUseId: 't', name: 'look_up' } } },
      { event: 'contentBlockDelta', contentBlockIndex: 1, delta: { toolUse: { input: '{"a":' } } },
      { event: 'contentBlockStop', contentBlockIndex: 1 },
      { event: 'messageStop', stopReason: 'end_turn', additionalModelResponseFields: { note: 'x' } },
    ],
    end: { event: 'metadata', usage: { inputTokens: 10, outputTokens: 5, totalTokens: 15 } },
    wire: AWS_EVENTS,
  },
  {
    provider: 'bedrock',
    path: '/model/anthropic.claude-x/invoke',
    streamPath: '/model/anthropic.claude-x/invoke-with-response-stream',
    request: { max_tokens: 50, messages: [{ role: 'user', content: 'Who?' }], anthropic_version: 'bedrock-2023-05-31' },
    reply: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      content: [{ type: 'text', text: 'Hello.' }],
      usage: counted,
    },
    frames: [
      { type: 'message_start', message: { id: 'msg_1', role: 'assistant', content: [], usage: counted } },
      { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'Hello ' } },
      { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text: 'there.' } },
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: counted },
    ],
    end: { type: 'message_stop', 'amazon-bedrock-invocationMetrics': { inputTokenCount: 10 } },
    wire: WRAPPED,
  },
  {
    provider: 'cohere',
    path: '/v2/chat',
    request: {
      model: 'plain',
      max_tokens: 50,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Who?' }] }],
      tools: [{ type: 'function', function: { name: 'look_up', description: 'Looks up.' } }],
      documents: [{ id: 'd', data: { title: 'x', text: 'y' } }],
    },
    reply: {
      id: 'c-1',
      finish_reason: 'COMPLETE',
      message: {
        role: 'assistant',
        content: [
          { type: 'thinking', thinking: 'I think.' },
          { type: 'text', text: 'Hello.' },
        ],
        tool_plan: 'I look it up.',
        tool_calls: [CALL],
        citations: [
          { start: 0, end: 5, text: 'Hello', sources: [{ type: 'document', id: 'd', document: { text: 'y' } }] },
        ],
      },
      usage: { billed_units: counted, tokens: counted },
    },
    frames: [
      { type: 'message-start', id: 'c-1', delta: { message: { role: 'assistant', content: [], tool_plan: '' } } },
      { type: 'tool-plan-delta', delta: { message: { tool_plan: 'I look' } } },
      { type: 'tool-plan-delta', delta: { message: { tool_plan: ' it up.' } } },
      { type: 'tool-call-start', index: 0, delta: { message: { tool_calls: CALL } } },
      { type: 'tool-call-delta', index: 0, delta: { message: { tool_calls: { function: { arguments: '"c"' } } } } },
      { type: 'tool-call-end', index: 0 },
      { type: 'content-start', index: 0, delta: { message: { content: { type: 'text', text: '' } } } },
      { type: 'content-delta', index: 0, delta: { message: { content: { text: 'Hello ' } } } },
      { type: 'content-delta', index: 0, delta: { message: { content: { text: 'there.' } } }, logprobs: { text: 'x' } },
      { type: 'citation-start', index: 0, delta: { message: { citations: { start: 0, end: 5, text: 'Hello' } } } },
      { type: 'content-end', index: 0 },
    ],
    end: `data: ${JSON.stringify({ type: 'message-end', delta: { finish_reason: 'COMPLETE', usage: { billed_units: counted } } })}\n\n`,
  },
  {
    provider: 'cohere',
    path: '/v2/embed',
    request: { model: 'plain', texts: ['Who?'], input_type: 'search_query' },
    reply: { id: 'e', embeddings: { float: [[0.1]] }, texts: ['Who?'], meta: { billed_units: { input_tokens: 3 } } },
  },
]

const asFrames = (frames: readonly JsonObject[], random: Random): string =>
  frames
    .map((frame) => `${random() < 0.5 && frame.type ? `event: ${frame.type}\n` : ''}data: ${JSON.stringify(frame)}\n\n`)
    .join('')

function framesOf(text: string): Json[] {
  const frames: Json[] = []
  createParser({
    onEvent: ({ event, data }) => frames.push(event ?? null, data.startsWith('{') ? JSON.parse(data) : data),
  }).feed(text)
  return frames
}

/** Each type of event is a separate text. */
const isTyped = (provider: string): boolean => ['anthropic', 'bedrock', 'cohere'].includes(provider)

const seenIn = ({ headers, text }: Reply, areTyped = false): string[] => {
  const type = headers['content-type'] ?? ''
  let parsed: Json[] = []
  try {
    parsed = type.startsWith('text/event-stream')
      ? framesOf(text)
      : ([LINES, AWS_EVENTS].find((wire) => wire.type === type)?.read(text) ?? [JSON.parse(text) as Json])
  } catch {
    // No JSON: the text itself is all there is to see.
  }
  return [text, JSON.stringify(headers), ...textsIn(parsed, areTyped)]
}

/** Runs cases until one passes a canary on; the canary is chosen and planted by the number of the case. */
/** As a tokenizer numbers the pieces of a text. */
const TOKEN = '94137'
const TOKEN_IDS = [1_023, Number(TOKEN), 5_512, 318, 2]

/** The value once for each object in it, with token ids in that. A tool's arguments have their own integers. */
function withTokenIds<T extends Json>(value: T): T[] {
  const whole = JSON.stringify(value)
  const count = objectsIn(JSON.parse(whole) as Json).length
  return [...Array(count).keys()].map((at) => {
    const copy = JSON.parse(whole) as T
    objectsIn(copy)[at]!.context = TOKEN_IDS
    return copy
  })
}

function objectsIn(value: Json): JsonObject[] {
  if (Array.isArray(value)) return value.flatMap(objectsIn)
  if (typeof value !== 'object' || value === null) return []
  return [value, ...Object.entries(value).flatMap(([name, item]) => (GIVEN.has(name) ? [] : objectsIn(item!)))]
}

const GIVEN = new Set(['arguments', 'args', 'input'])

async function leaks(run: (random: Random, canary: string, route: Route) => Promise<string[]>, canaries: string[]) {
  const found: string[] = []
  for (let number = FIRST_CASE; number < FIRST_CASE + CASES / 4 && found.length < 5; number++) {
    const random = randomOf(number)
    const canary = pick(random, canaries)
    const route = pick(random, ROUTES)
    const seen = await run(random, canary, route)
    const at = seen.find((text) => text.includes(canary))
    if (at !== undefined) found.push(`case ${number} (${route.path}): ${at.slice(0, 600)}`)
  }
  return found
}

async function openCage(safety: object = {}): Promise<{ cage: TestRuntime; agent: TestAgent; canaries: string[] }> {
  const cage = await openTestRuntime({
    safety: { ...safety },
    budget: { clamp_max_tokens: false },
    others: { ollama: {}, bedrock: {}, cohere: {} },
    prices: { 'anthropic.claude-x': PRICES.plain },
    environment: { AWS_ACCESS_KEY_ID: 'AKIA-of-the-server', AWS_SECRET_ACCESS_KEY: 'secret-of-the-server' },
    masterKey: newMasterKey(),
  })
  await cage.runtime.vault.create(
    { name: 'STRIPE_KEY', value: SECRET, environment: 'development' },
    { role: 'admin', agentId: null, actor: 'test' },
  )
  const agent = cage.addAgent({ limit: '1000' })
  return { cage, agent, canaries: [EMAIL, SECRET, agent.token] }
}

describe('no canary passes', () => {
  test('no canary passes in a whole reply', async () => {
    const { cage, agent, canaries } = await openCage()
    const found = await leaks(async (random, canary, { provider, path, request, reply }) => {
      cage.provider.doesOnce(sends(200, { 'content-type': 'application/json' }, plant(random, reply, canary)))
      return seenIn(await agent.send(provider, 'POST', path, JSON.stringify(request)))
    }, canaries)
    expect(found).toEqual([])
  })

  test('no canary passes in a stream', async () => {
    const { cage, agent, canaries } = await openCage()
    const streamed = ROUTES.filter(({ frames }) => frames)
    const found = await leaks(async (random, canary) => {
      const { provider, path, streamPath, request, frames, end, wire } = pick(random, streamed)
      const planted = plantInStream(random, frames!, canary)
      const text = wire ? wire.write([...planted, end as JsonObject]) : asFrames(planted, random) + (end as string)
      const pieces = random() < 0.5 || typeof text !== 'string' ? [text] : cut(random, text)
      cage.provider.doesOnce(streams(pieces, 'ends', wire?.type))
      const body = streamPath ? request : { ...request, stream: true }
      const reply = await agent.send(provider, 'POST', streamPath ?? path, JSON.stringify(body))
      return seenIn(reply, path === '/responses' || isTyped(provider))
    }, canaries)
    expect(found).toEqual([])
  })

  test('no canary passes as token ids, which cannot be decoded here', async () => {
    const { cage, agent } = await openCage()
    const found: string[] = []
    for (const { provider, path, streamPath, request, reply, frames, end, wire } of ROUTES) {
      const send = (to: string, body: JsonObject) => agent.send(provider, 'POST', to, JSON.stringify(body))
      for (const planted of withTokenIds(reply)) {
        cage.provider.doesOnce(sends(200, { 'content-type': 'application/json' }, planted as object))
        if ((await send(path, request)).text.includes(TOKEN)) found.push(`${path}: ${JSON.stringify(planted)}`)
      }
      for (const planted of frames ? withTokenIds(frames) : []) {
        const text = wire
          ? wire.write([...planted, end as JsonObject])
          : `${asFrames(planted, () => 0)}${end as string}`
        cage.provider.doesOnce(streams([text], 'ends', wire?.type))
        const streamed = await send(streamPath ?? path, streamPath ? request : { ...request, stream: true })
        if (seenIn(streamed).some((one) => one.includes(TOKEN))) found.push(`${path}: ${JSON.stringify(planted)}`)
      }
    }
    expect(found).toEqual([])
  })

  test('no canary passes in an error, a stored reply, a header or a body that is not JSON', async () => {
    const { cage, agent, canaries } = await openCage()
    const found = await leaks(async (random, canary, { provider, path, request, reply }) => {
      const error = { error: { message: 'Refused.', type: 'invalid_request_error', param: null, code: 'bad' } }
      const body = pick<Json>(random, [error, reply])
      const text = random() < 0.2 ? `<p>${canary}</p>` : JSON.stringify(plant(random, body, canary))
      const escaped = random() < 0.3 ? text.replaceAll('@', '\\u0040') : text
      const headers: Record<string, string> = random() < 0.3 ? { 'x-request-id': canary } : {}
      const status = pick(random, [200, 400, 404, 418])
      cage.provider.doesOnce(sends(status, { 'content-type': 'application/json', ...headers }, escaped))
      if (provider === 'openai' && random() < 0.4) return seenIn(await agent.send('openai', 'GET', '/responses/resp_1'))
      return seenIn(await agent.send(provider, 'POST', path, JSON.stringify(request)))
    }, canaries)
    expect(found).toEqual([])
  })

  test('no canary passes in a request, when the policy covers requests', async () => {
    const { cage, agent, canaries } = await openCage({ scope: ['replies', 'tool_arguments', 'logs', 'requests'] })
    const found = await leaks(async (random, canary, { provider, path, request }) => {
      const free = {
        openai: '/moderations',
        anthropic: '/v1/messages/count_tokens',
        google: '/v1beta/models/plain:countTokens',
        ollama: '/api/show',
        bedrock: '/model/plain/count-tokens',
        cohere: '/v1/tokenize',
      }[provider]
      const sent = random() < 0.2 ? free : path
      const query = random() < 0.2 ? `?note=${encodeURIComponent(canary)}` : ''
      const headers: Record<string, string> = random() < 0.2 ? { 'x-title': canary, 'x-made-up': canary } : {}
      await agent.send(provider, 'POST', sent + query, JSON.stringify(plant(random, request, canary)), {
        'content-type': 'application/json',
        authorization: 'Bearer sk-of-the-agent',
        ...headers,
      })
      const received = cage.provider.requests.splice(0)
      return received.flatMap(({ url, headers: got, body }) => [
        decodeURIComponent(url),
        JSON.stringify(got),
        body,
        ...textsIn([JSON.parse(body || '{}')]),
      ])
    }, canaries)
    expect(found).toEqual([])
  })
})
