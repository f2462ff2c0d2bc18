/** Agents that go round in circles. */
import { expect, test } from 'vitest'
import { repeatsOf } from '../../src/gateway/limits/repeats.ts'
import { openTestRuntime } from '../support/runtime.ts'

const loops = (action: 'report' | 'refuse') => openTestRuntime({ budget: { loops: { repeats: 3, action } } })
const say = (content: string) => ({ messages: [{ role: 'user', content }] })

test('the same call three times is reported once, also beside other calls, and nothing is refused', async () => {
  const cage = await loops('report')
  const agent = cage.addAgent()
  for (const content of ['a', 'a', 'b', 'a', 'a', 'c']) expect((await agent.chat(say(content))).status).toBe(200)
  expect(cage.of('loop.detected').map(({ data }) => data)).toMatchObject([
    { provider: 'openai', model: 'penny', tool: null, times: 3, action: 'report' },
  ])
  const other = cage.addAgent()
  expect((await other.chat(say('a'))).status).toBe(200)
  expect(cage.of('loop.detected')).toHaveLength(1)
})

test('with refuse the repeated call is not sent, and another one is', async () => {
  const cage = await loops('refuse')
  const agent = cage.addAgent()
  const statuses: number[] = []
  for (const content of ['a', 'a', 'a', 'a', 'b']) statuses.push((await agent.chat(say(content))).status)
  expect(statuses).toEqual([200, 200, 403, 403, 200])
  expect(cage.provider.requests).toHaveLength(3)
  const refused = await agent.chat(say('a'))
  expect(refused.json().error).toMatchObject({ code: 'loop_detected', message: expect.stringContaining('5 times') })
  expect(refused.headers['x-should-retry']).toBe('false')
  expect(agent.balance().held).toBe('0')
})

const chat = (args: string) => ({ role: 'assistant', tool_calls: [{ function: { name: 'look', arguments: args } }] })
const used = (input: string) => ({ role: 'assistant', content: [{ type: 'tool_use', name: 'look', input: { input } }] })
const item = (args: string) => ({ type: 'function_call', name: 'look', arguments: args })
const part = (args: string) => ({ role: 'model', parts: [{ functionCall: { name: 'look', args: { args } } }] })
const result = { role: 'user', content: 'nothing' }

test.each([
  { what: 'a chat', body: { messages: [chat('y'), result, chat('x'), result, chat('x'), result] }, times: 2 },
  { what: 'a message', body: { messages: [used('x'), result, used('x'), result, used('x')] }, times: 3 },
  { what: 'a response', body: { input: [item('x'), item('y'), item('y')] }, times: 2 },
  { what: 'a content', body: { contents: [part('x'), part('x')] }, times: 2 },
])('calls of a tool with the same arguments are counted from the end of $what', ({ body, times }) => {
  expect(repeatsOf(body).tool).toMatchObject({ name: 'look', times })
})

test.each([{}, { input: 'text' }, { messages: null }, { messages: [1, null, 'x', { tool_calls: {} }] }])(
  'a request of any shape is read: %o',
  (body) => expect(repeatsOf(body).tool).toBeNull(),
)

test('a conversation that grows around the same tool is a loop', async () => {
  const cage = await loops('report')
  const agent = cage.addAgent()
  const messages: object[] = [{ role: 'user', content: 'Find it.' }]
  for (const turn of [1, 2, 3, 4]) {
    await agent.chat({ messages })
    messages.push(chat('{"q":"it"}'), { role: 'tool', content: `nothing ${turn}` })
  }
  await agent.chat({ messages })
  expect(cage.of('loop.detected').map(({ data }) => [data.tool, data.times])).toEqual([['look', 3]])
})

test('a loop raises an alert that names the repetition and a way to stop it', async () => {
  const cage = await loops('report')
  const agent = cage.addAgent()
  for (const content of ['a', 'a', 'a', 'a']) await agent.chat(say(content))
  expect(cage.of('alert.raised').map(({ data }) => data)).toMatchObject([
    {
      kind: 'loop_detected',
      title: 'Going round in circles — penny',
      detail: expect.stringMatching(/^The same call to penny came 3 times\. Calls go on\. .+ iron-cage stop \S+$/),
    },
  ])
})
