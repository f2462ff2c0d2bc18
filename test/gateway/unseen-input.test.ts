/** Input of a model that its request does not show: stored thoughts, threads, files. */
import { expect, test } from 'vitest'
import type { JsonObject } from '../../src/dialects/json.ts'
import { Dice } from '../oracle/dice.ts'
import { worstBill } from '../oracle/requests/bill.ts'
import { hostileRequest } from '../oracle/requests/mutate.ts'
import type { DialectName } from '../oracle/requests/request.ts'
import { type Received, sends } from '../support/provider.ts'
import { openTestRuntime, type TestAgent } from '../support/runtime.ts'

const INPUT_USD = 1
const prices = { thinker: { input_per_mtok: INPUT_USD, output_per_mtok: 4 } }
/** The possible input of a model without a published window. */
const WINDOW = 2_000_000
const STORED = { input: 1_000, output: 20_000 }

const respond = (agent: TestAgent, body: object) =>
  agent.send('openai', 'POST', '/v1/responses', JSON.stringify({ model: 'thinker', max_output_tokens: 16, ...body }))

const response = (id: string, { input, output }: { input: number; output: number }, items: object[] = []) =>
  sends(
    200,
    { 'content-type': 'application/json' },
    {
      id,
      object: 'response',
      model: 'thinker',
      status: 'completed',
      output: items,
      usage: { input_tokens: input, output_tokens: output, total_tokens: input + output },
    },
  )

test.each<[what: string, next: object]>([
  [
    'a stored thought',
    {
      input: [
        { role: 'user', content: 'Go on.' },
        { type: 'reasoning', id: 'rs_1', summary: [] },
      ],
    },
  ],
  ['a stored search', { input: [{ type: 'web_search_call', id: 'ws_1', status: 'completed' }] }],
  ['an item without a type', { input: [{ id: 'rs_1' }, { id: 'ws_1' }] }],
  ['the answer before', { input: 'Go on.', previous_response_id: 'resp_1' }],
])('%s that the gateway has delivered is held at its known size', async (_what, next) => {
  const cage = await openTestRuntime({ prices })
  const agent = cage.addAgent({ limit: '50' })
  const items = [
    { type: 'reasoning', id: 'rs_1', summary: [] },
    { type: 'web_search_call', id: 'ws_1', status: 'completed' },
  ]
  const held: number[] = []
  const hold = () => held.push((Number(agent.balance().held) / INPUT_USD) * 1e6)
  // A model that is new is held at the most that it can cost.
  cage.provider.does(response('resp_0', { input: 10, output: 1 }))
  await respond(agent, { input: 'Hello.' })
  cage.provider.does((reply) => {
    hold()
    response('resp_1', STORED, items)(reply)
  })
  await respond(agent, { input: 'Think.', max_output_tokens: 32_000 })
  cage.provider.does((reply) => {
    hold()
    response('resp_2', { input: STORED.input + STORED.output + 10, output: 5 })(reply)
  })
  expect((await respond(agent, next)).status).toBe(200)
  expect(held[1]).toBeGreaterThanOrEqual(STORED.input + STORED.output)
  expect(held[1]).toBeLessThan(STORED.input + STORED.output + 5_000)
  // The model is refused for no agent.
  expect((await respond(cage.addAgent({ name: 'other' }), { input: 'Hello.' })).status).toBe(200)
})

test('stored content of unknown size is held at the whole window', async () => {
  const cage = await openTestRuntime({ prices })
  const agent = cage.addAgent({ limit: '50' })
  let held = 0
  cage.provider.does((reply) => {
    held = Number(agent.balance().held)
    response('resp_1', { input: 10, output: 1 })(reply)
  })
  await respond(agent, { input: [{ id: 'msg_0123456789abcdef' }] })
  expect(held).toBeGreaterThanOrEqual((WINDOW * INPUT_USD) / 1e6)
})

test('unseen input that costs too much is refused with the reason', async () => {
  const cage = await openTestRuntime({ prices })
  const refused = await respond(cage.addAgent({ limit: '1' }), { input: 'Go on.', previous_response_id: 'resp_0' })
  expect([refused.status, refused.text]).toMatchObject([402, expect.stringContaining('a whole context window')])
  expect(cage.provider.requests).toEqual([])
})

const PATHS: Partial<Record<DialectName, [provider: string, path: string]>> = {
  chat: ['openai', '/v1/chat/completions'],
  responses: ['openai', '/v1/responses'],
  anthropic: ['anthropic', '/v1/messages'],
}

/** Bills the most that the vendor's documentation allows. */
function dearest({ url, body }: Received): { body: object; usd: number } {
  const dialect = url.endsWith('/responses') ? 'responses' : url.endsWith('/messages') ? 'anthropic' : 'chat'
  const request = JSON.parse(body) as JsonObject
  const window = request.model === 'gpt-4o' ? 128_000 : WINDOW
  const { inputTokens, outputTokens } = worstBill({ dialect, body: request }, { window, answer: 16_384 })
  const usage = {
    input_tokens: inputTokens,
    output_tokens: outputTokens,
    ...(dialect === 'chat' && { prompt_tokens: inputTokens, completion_tokens: outputTokens }),
  }
  const message = { role: 'assistant', content: [{ type: 'text', text: 'Yes.' }] }
  return {
    body: {
      id: 'x',
      model: 'some-model',
      object: 'x',
      ...message,
      output: [],
      choices: [{ index: 0, message }],
      usage,
    },
    usd: (inputTokens * CHEAP.input_per_mtok + outputTokens * CHEAP.output_per_mtok) / 1e6,
  }
}

const CHEAP = { input_per_mtok: 0.02, output_per_mtok: 0.08 }

test('five hundred agents with hostile requests at once spend not a cent above a dollar', async () => {
  const cage = await openTestRuntime({
    prices: { 'some-model': CHEAP, 'gpt-4o': { ...CHEAP, confirm: true } },
    budget: { server_usd: '1', on_exhausted: 'refuse' },
    faults: /./,
  })
  let billed = 0
  let calls = 0
  cage.provider.does((reply, received) => {
    const { body, usd } = dearest(received)
    billed += usd
    calls += 1
    sends(200, { 'content-type': 'application/json' }, body)(reply)
  })
  const requests = Array.from({ length: 2_000 }, (_, seed) => hostileRequest(new Dice(seed)))
    .filter(({ dialect }) => PATHS[dialect])
    .slice(0, 500)
  const statuses = await Promise.all(
    requests.map(async ({ dialect, body }, at) => {
      const [provider, path] = PATHS[dialect]!
      const agent = cage.addAgent({ name: `hostile-${at}`, limit: '1' })
      return (await agent.send(provider, 'POST', path, JSON.stringify(body))).status
    }),
  )
  expect(statuses).toHaveLength(500)
  expect(calls).toBeGreaterThan(20)
  expect(billed).toBeGreaterThan(0.2)
  expect(billed).toBeLessThanOrEqual(1)
})
