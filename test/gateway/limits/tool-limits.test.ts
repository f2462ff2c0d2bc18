/** How often a run may call tools. */
import { expect, test } from 'vitest'
import type { Json } from '../../../src/dialects/json.ts'
import { repeatsOf } from '../../../src/gateway/limits/repeats.ts'
import { AskedCalls } from '../../../src/gateway/limits/tool-calls.ts'
import { sends, streams } from '../../support/provider.ts'
import { openTestRuntime, send, type TestRuntime } from '../../support/runtime.ts'

const ask = { role: 'user', content: 'Find it.' }
/** One round of a conversation: a call of a tool, and its result. */
const round = (id: string, name: string) => [
  { role: 'assistant', tool_calls: [{ id, type: 'function', function: { name, arguments: '{}' } }] },
  { role: 'tool', tool_call_id: id, content: 'nothing' },
]

const chatAs = (cage: TestRuntime, token: string, messages: object[]) =>
  send(`${cage.url}/gateway/${token}/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'penny', max_tokens: 4, messages }),
  })

test('calls of tools are counted once each, and above the limit no call of that run is sent', async () => {
  const cage = await openTestRuntime({ budget: { tools: { max_calls: 2 } } })
  const agent = cage.addAgent()
  const messages: object[] = [ask]
  const statuses: number[] = []
  for (const id of ['c1', 'c2', 'c3']) {
    statuses.push((await agent.chat({ messages })).status, (await agent.chat({ messages })).status)
    messages.push(...round(id, 'look'))
  }
  expect(statuses).toEqual([200, 200, 200, 200, 200, 200])
  const refused = await agent.chat({ messages })
  expect(refused.json().error).toMatchObject({
    code: 'tool_limit',
    message: expect.stringContaining('called tools 3 times, and 2 are allowed'),
    facts: { calls: 3, max_calls: 2 },
  })
  // Forgetting the conversation does not help.
  expect((await agent.chat({ messages: [ask] })).status).toBe(403)
  expect(cage.provider.requests).toHaveLength(6)
  expect(agent.balance().held).toBe('0')
  expect((await cage.addAgent().chat({ messages: [ask, ...round('c1', 'look')] })).status).toBe(200)
  expect(cage.of('call.refused')[0]).toMatchObject({ data: { code: 'tool_limit' } })
})

test('the longest matching name limits a tool, and other tools are not limited', async () => {
  const cage = await openTestRuntime({ budget: { tools: { per_tool: { 'mcp__*': 1, mcp__free: 9, pay: 0 } } } })
  const status = async (...names: string[]) =>
    (await cage.addAgent().chat({ messages: [ask, ...names.flatMap((name, at) => round(`c${at}`, name))] })).status
  expect(await status('look', 'look', 'mcp__free', 'mcp__free', 'mcp__a')).toBe(200)
  expect(await status('mcp__a', 'mcp__b')).toBe(403)
  expect(await status('pay')).toBe(403)
})

test('the parts of a run count together with it, however they are nested', async () => {
  const cage = await openTestRuntime({ budget: { tools: { max_calls: 2 } } })
  const agent = cage.addAgent()
  const statuses: number[] = []
  let token = agent.token
  for (const id of ['c1', 'c2', 'c3']) {
    const part = (await cage.post('/api/run/begin', {}, token)).json() as { token: string }
    token = id === 'c1' ? part.token : token
    statuses.push((await chatAs(cage, part.token, [ask, ...round(id, 'look')])).status)
  }
  expect(statuses).toEqual([200, 200, 403])
  expect((await agent.chat()).status).toBe(403)
})

test('a call is known by its id and its arguments, so an id that comes again does not hide another call', async () => {
  const cage = await openTestRuntime({ budget: { tools: { max_calls: 3 } } })
  const agent = cage.addAgent()
  const statuses: number[] = []
  for (const at of [1, 2, 3, 4]) {
    const [call, result] = round('call_0', 'look')
    const named = { id: 'call_0', type: 'function', function: { name: 'look', arguments: `{"page":${at}}` } }
    statuses.push((await agent.chat({ messages: [ask, { ...call, tool_calls: [named] }, result!] })).status)
  }
  expect(statuses).toEqual([200, 200, 200, 403])
})

test('calls without ids in a window of the conversation are counted, each once', async () => {
  const cage = await openTestRuntime({ budget: { tools: { max_calls: 3 } } })
  const [growing, sliding] = [cage.addAgent(), cage.addAgent({ name: 'sliding' })]
  const unnamed = [
    { role: 'assistant', tool_calls: [{ function: { name: 'look', arguments: {} } }] },
    { role: 'tool', content: 'nothing' },
  ]
  const messages: object[] = [ask]
  const statuses: number[][] = []
  for (let at = 0; at < 4; at++) {
    messages.push(...unnamed)
    const all = [await growing.chat({ messages }), await sliding.chat({ messages: [ask, ...unnamed] })]
    statuses.push(all.map(({ status }) => status))
  }
  expect(statuses).toEqual([
    [200, 200],
    [200, 200],
    [200, 200],
    [403, 403],
  ])
})

test('a request that had no answer counts once when it is sent again', async () => {
  const cage = await openTestRuntime({ budget: { tools: { max_calls: 1 } } })
  const agent = cage.addAgent()
  const messages = [ask, { role: 'assistant', tool_calls: [{ function: { name: 'look', arguments: {} } }] }]
  cage.provider.doesOnce(sends(400, {}, { error: { message: 'not now' } }))
  expect((await agent.chat({ messages })).status).toBe(400)
  expect((await agent.chat({ messages })).status).toBe(200)
})

test.each([false, true])(
  'tool calls in replies count, independent of the following requests (streamed: %s)',
  async (stream) => {
    const cage = await openTestRuntime({ budget: { tools: { max_calls: 9, per_tool: { look: 3 } } } })
    const agent = cage.addAgent()
    const call = (index: number) => ({
      index,
      id: `call_${index}`,
      type: 'function',
      function: { name: 'look', arguments: '{}' },
    })
    const asks = { tool_calls: [call(0), call(1)] }
    const chunk = (delta: object, finish_reason: string | null) => ({ choices: [{ index: 0, delta, finish_reason }] })
    const frames = [...[chunk(asks, null), chunk({}, 'tool_calls')].map((one) => JSON.stringify(one)), '[DONE]']
    const message = { role: 'assistant', content: null, ...asks }
    cage.provider.does(
      stream
        ? streams(frames.map((data) => `data: ${data}\n\n`))
        : sends(200, {}, { model: 'test', choices: [{ index: 0, message, finish_reason: 'tool_calls' }] }),
    )
    const asked = { stream, messages: [ask] }
    expect([(await agent.chat(asked)).status, (await agent.chat(asked)).status]).toEqual([200, 200])
    expect((await agent.chat(asked)).json().error).toMatchObject({
      code: 'tool_limit',
      message: expect.stringContaining('called look 4 times, and 3 are allowed'),
    })
  },
)

test.each<[format: string, frames: Json[], names: string[]]>([
  [
    'a chat, whose later pieces repeat the place',
    [
      { choices: [{ index: 0, delta: { tool_calls: [{ index: 0, id: 'a', function: { name: 'look' } }] } }] },
      { choices: [{ index: 0, delta: { tool_calls: [{ index: 0, function: { name: 'look', arguments: '{' } }] } }] },
      { choices: [{ index: 0, delta: { tool_calls: [{ index: 1, id: 'b', function: { name: 'far' } }] } }] },
    ],
    ['look', 'far'],
  ],
  [
    'a response, which repeats its items at the end',
    [
      { type: 'response.output_item.added', item: { type: 'function_call', id: 'fc', call_id: 'a', name: 'look' } },
      { type: 'response.output_item.done', item: { type: 'function_call', id: 'fc', call_id: 'a', name: 'look' } },
      {
        type: 'response.completed',
        response: {
          tools: [{ type: 'function', name: 'look' }],
          output: [
            { type: 'function_call', id: 'fc', call_id: 'a', name: 'look' },
            { type: 'mcp_call', id: 'm', name: 'far' },
            { type: 'web_search_call', id: 'w' },
          ],
        },
      },
    ],
    ['look', 'far', 'web_search_call'],
  ],
  [
    'a message',
    [{ type: 'content_block_start', content_block: { type: 'tool_use', id: 't', name: 'look' } }],
    ['look'],
  ],
  [
    'contents, in each frame others',
    [
      { candidates: [{ content: { parts: [{ functionCall: { name: 'look', args: {} } }] } }] },
      { candidates: [{ content: { parts: [{ functionCall: { name: 'look', args: {} } }] } }] },
    ],
    ['look', 'look'],
  ],
  ['Converse', [{ contentBlockIndex: 1, start: { toolUse: { toolUseId: 't', name: 'look' } } }], ['look']],
  ['Ollama', [{ message: { tool_calls: [{ function: { name: 'look', arguments: {} } }] } }], ['look']],
  [
    'Cohere',
    [{ delta: { message: { tool_calls: { id: 'c', type: 'function', function: { name: 'look', arguments: '' } } } } }],
    ['look'],
  ],
  ['a reply without calls', [{ data: [{ embedding: [1, 2] }], choices: [{ message: { content: 'tool_use' } }] }], []],
])('the tool calls of a reply are read from the frames of %s', (_format, frames, names) => {
  const calls = new AskedCalls()
  expect(frames.flatMap((frame) => calls.read(frame))).toEqual(names)
})

test.each([
  ['a chat', { messages: [...round('a', 'look'), ...round('b', 'look')] }, ['a look', 'b look']],
  [
    'a message',
    {
      messages: [
        { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'look', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'x' }] },
        { role: 'assistant', content: [{ type: 'mcp_tool_use', id: 't2', name: 'far', input: {} }] },
      ],
    },
    ['t1 look', 't2 far'],
  ],
  // With `previous_response_id` the request has the results alone.
  ['a response', { input: [{ type: 'function_call_output', call_id: 'r1', output: 'x' }] }, []],
  ['a response with MCP', { input: [{ type: 'mcp_call', id: 'm1', name: 'far', arguments: '{}' }] }, ['m1 far']],
  ['a content', { contents: [{ parts: [{ functionCall: { name: 'look', args: {} } }] }] }, ['undefined look']],
])('calls are read from %s', (_what, body, calls) => {
  const { tools } = repeatsOf(body as Parameters<typeof repeatsOf>[0])
  expect(tools.calls.map(({ id, name }) => `${id} ${name}`)).toEqual(calls)
})
