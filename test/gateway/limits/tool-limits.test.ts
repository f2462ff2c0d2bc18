/** How often a run may call tools. */
import { expect, test } from 'vitest'
import { repeatsOf } from '../../../src/gateway/limits/repeats.ts'
import { openTestRuntime } from '../../support/runtime.ts'

const ask = { role: 'user', content: 'Find it.' }
/** One round of a conversation: a call of a tool, and its result. */
const round = (id: string, name: string) => [
  { role: 'assistant', tool_calls: [{ id, type: 'function', function: { name, arguments: '{}' } }] },
  { role: 'tool', tool_call_id: id, content: 'nothing' },
]

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

test('by name the longest match applies, and other tools are not limited', async () => {
  const cage = await openTestRuntime({ budget: { tools: { per_tool: { 'mcp__*': 1, mcp__free: 9, pay: 0 } } } })
  const status = async (...names: string[]) =>
    (await cage.addAgent().chat({ messages: [ask, ...names.flatMap((name, at) => round(`c${at}`, name))] })).status
  expect(await status('look', 'look', 'mcp__free', 'mcp__free', 'mcp__a')).toBe(200)
  expect(await status('mcp__a', 'mcp__b')).toBe(403)
  expect(await status('pay')).toBe(403)
})

test.each([
  ['a chat', { messages: [...round('a', 'look'), ...round('b', 'look')] }, ['a look', 'a', 'b look', 'b']],
  [
    'a message',
    {
      messages: [
        { role: 'assistant', content: [{ type: 'tool_use', id: 't1', name: 'look', input: {} }] },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'x' }] },
        { role: 'assistant', content: [{ type: 'mcp_tool_use', id: 't2', name: 'far', input: {} }] },
      ],
    },
    ['t1 look', 't1', 't2 far'],
  ],
  // With `previous_response_id` the request has the results alone.
  ['a response', { input: [{ type: 'function_call_output', call_id: 'r1', output: 'x' }] }, ['r1']],
  ['a response with MCP', { input: [{ type: 'mcp_call', id: 'm1', name: 'far', arguments: '{}' }] }, ['m1 far']],
  ['a content', { contents: [{ parts: [{ functionCall: { name: 'look', args: {} } }] }] }, ['0 ["look",{}] look']],
])('are read from %s', (_what, body, calls) => {
  const { toolCalls } = repeatsOf(body as Parameters<typeof repeatsOf>[0])
  expect(toolCalls.map(({ id, name }) => (name === null ? id : `${id} ${name}`))).toEqual(calls)
})
