/** Cohere with the real client: chat, embeddings and rankings. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Script, sends, streams } from '../support/provider.ts'
import { openTestRuntime, PRICES, type RuntimeOptions, type TestAgent, type TestRuntime } from '../support/runtime.ts'
import { atPort, type Outcome, RunningProgram } from './clients.ts'

const MODEL = 'command-a-03-2025'
const JSON_TYPE = { 'content-type': 'application/json' }
let program: RunningProgram
beforeAll(async () => {
  program = await RunningProgram.start(
    { file: 'cohere_client.py', environment: '.venv-test-providers' },
    { PATH: process.env.PATH!, CO_API_KEY: 'none' },
  )
})
afterAll(() => program.stop())

const KNOWN = new Set(
  'model messages tools stream max_tokens thinking texts input_type embedding_types query documents top_n'.split(' '),
)

/** Cohere as it answers: to its own key, without fields that it does not have. */
const cohere =
  (script: Script): Script =>
  (response, received) => {
    const refused = (status: number, message: string) => sends(status, JSON_TYPE, { id: 'x', message })(response)
    if (received.headers.authorization !== 'Bearer co-of-the-user') return refused(401, 'invalid api token')
    const unknown = Object.keys(JSON.parse(received.body) as object).find((name) => !KNOWN.has(name))
    if (unknown) return refused(422, `unknown field: parameter "${unknown}" is not a valid field`)
    return script(response, received)
  }

const USAGE = { billed_units: { input_tokens: 10, output_tokens: 5 }, tokens: { input_tokens: 71, output_tokens: 7 } }
const whole = (text: string) =>
  sends(200, JSON_TYPE, {
    id: 'c-1',
    finish_reason: 'COMPLETE',
    message: { role: 'assistant', content: [{ type: 'text', text }] },
    usage: USAGE,
  })

const event = (type: string, message?: object, index?: number) => ({
  type,
  ...(index !== undefined && { index }),
  ...(message && { delta: { message } }),
})
const END = { type: 'message-end', delta: { finish_reason: 'COMPLETE', usage: USAGE } }
const framesOf = (...events: object[]) =>
  [event('message-start', { role: 'assistant', content: [], tool_plan: '' }), ...events].map(
    (one) => `event: ${(one as { type: string }).type}\ndata: ${JSON.stringify(one)}\n\n`,
  )
const PIECES = ['Ask jane.ro', 'e@northwind', '-traders.com.']
const content = (kind: 'text' | 'thinking') => [
  event('content-start', { content: { type: kind, [kind]: '' } }, 0),
  ...PIECES.map((piece) => event('content-delta', { content: { [kind]: piece } }, 0)),
  event('content-end', undefined, 0),
]

async function openCohere(options: RuntimeOptions = {}): Promise<{ cage: TestRuntime; agent: TestAgent }> {
  const prices = { [MODEL]: PRICES.plain, ...options.prices }
  const cage = await openTestRuntime({ others: { cohere: {} }, ...atPort, ...options, prices })
  return { cage, agent: cage.addAgent() }
}

const run = (cage: TestRuntime, agent: TestAgent, name: string): Promise<Outcome> => {
  const environment = { CO_API_URL: `${cage.url}/gateway/${agent.token}/cohere`, CO_API_KEY: 'co-of-the-user' }
  return program.run({ case: name, model: MODEL, environment })
}

const SAFE = 'Ask [EMAIL_REDACTED].'

test.each([
  ['plain', whole(PIECES.join('')), { text: SAFE }],
  ['streamed', streams(framesOf(...content('text'), END)), { text: SAFE, end: 'COMPLETE', error: null }],
  ['thinking', streams(framesOf(...content('thinking'), END)), { text: SAFE }],
] as const)('%s: answered, redacted, and charged by what Cohere bills', async (name, script, expected) => {
  const { cage, agent } = await openCohere()
  cage.provider.does(cohere(script as Script))
  const { result, error } = await run(cage, agent, name)
  expect(error).toBeUndefined()
  expect(result).toEqual(expected)
  expect(cage.rows()).toMatchObject([{ model: MODEL, cost_nanos: 75_000, estimated: 0 }])
})

test('calls of tools and the plan before them are texts of their own', async () => {
  const { cage, agent } = await openCohere()
  const call = (index: number, city: string) => [
    event(
      'tool-call-start',
      { tool_calls: { id: `t${index}`, type: 'function', function: { name: 'warmth', arguments: '' } } },
      index,
    ),
    ...['{"ci', `ty":"${city}"}`].map((piece) =>
      event('tool-call-delta', { tool_calls: { function: { arguments: piece } } }, index),
    ),
    event('tool-call-end', undefined, index),
  ]
  const plan = PIECES.map((piece) => event('tool-plan-delta', { tool_plan: piece }))
  cage.provider.doesOnce(cohere(streams(framesOf(...plan, ...call(0, 'Oslo'), ...call(1, 'Rome'), END)) as Script))
  cage.provider.does(cohere(whole('Warm.') as Script))
  expect((await run(cage, agent, 'tools')).result).toEqual({ text: 'Warm.', plan: SAFE })
  expect(cage.provider.requests[1]!.body).toContain('4 degrees in Rome')
})

test('the held-back end of a plan comes before the first tool call', async () => {
  const { cage, agent } = await openCohere()
  const call = { tool_calls: { id: 't0', type: 'function', function: { name: 'warmth', arguments: '{}' } } }
  const plan = PIECES.map((piece) => event('tool-plan-delta', { tool_plan: piece }))
  cage.provider.does(
    streams(framesOf(...plan, event('tool-call-start', call, 0), event('tool-call-end', undefined, 0), END)) as Script,
  )
  const body = { model: MODEL, stream: true, messages: [{ role: 'user', content: 'x' }] }
  const { text } = await agent.send('cohere', 'POST', '/v2/chat', JSON.stringify(body))
  const steps = [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data!) as Record<string, unknown>)
  const planned = steps.filter(({ type }) => type === 'tool-plan-delta')
  expect(planned.map(({ delta }) => (delta as { message: { tool_plan: string } }).message.tool_plan).join('')).toBe(
    SAFE,
  )
  expect(steps.indexOf(planned.at(-1)!)).toBeLessThan(steps.findIndex(({ type }) => type === 'tool-call-start'))
  expect(steps.at(-1)).toMatchObject({ type: 'message-end' })
})

test('embeddings cost the listed price', async () => {
  const { cage, agent } = await openCohere()
  const meta = { api_version: { version: '2' }, billed_units: { input_tokens: 10 } }
  cage.provider.does(cohere(sends(200, JSON_TYPE, { id: 'e', embeddings: { float: [[0.5], [1]] }, texts: [], meta })))
  expect((await run(cage, agent, 'embedded')).result).toEqual({ count: 2 })
  expect(cage.rows()).toMatchObject([{ model: 'embed-v4.0', cost_nanos: 1_200, estimated: 0 }])
})

test('rankings cost the configured price for each search, and are refused without one', async () => {
  const results = [{ index: 1, relevance_score: 0.9 }]
  const script = cohere(sends(200, JSON_TYPE, { id: 'r', results, meta: { billed_units: { search_units: 1 } } }))
  const unpriced = await openCohere()
  expect((await run(unpriced.cage, unpriced.agent, 'ranked')).error).toMatchObject({ status: 403 })
  const free = { input_per_mtok: 0, output_per_mtok: 0 }
  const { cage, agent } = await openCohere({ prices: { 'rerank-v3.5': { ...free, web_search_per_thousand: 2 } } })
  cage.provider.does(script)
  expect((await run(cage, agent, 'ranked')).result).toEqual({ best: 1 })
  expect(cage.rows()).toMatchObject([{ cost_nanos: 2_000_000, estimated: 0 }])
})

test('a spent budget is the client’s own error, asked once', async () => {
  const { cage, agent } = await openCohere({ budget: { on_exhausted: 'refuse' } })
  cage.runtime.ledger.accounts.setLimit(agent.id, cage.runtime.ledger.accounts.balance(agent.id).spent, 'a test')
  const { error } = await run(cage, agent, 'streamed')
  expect(error).toMatchObject({ status: 402, code: 'budget_exceeded' })
  expect(error?.classes).toContain('cohere.ApiError')
  expect(cage.provider.requests).toEqual([])
})

test('a stream that breaks off ends with Cohere’s reason for an error', async () => {
  const { cage, agent } = await openCohere()
  cage.provider.does(cohere(streams(framesOf(...content('text').slice(0, 2))) as Script))
  const { result } = await run(cage, agent, 'streamed')
  expect(result).toMatchObject({
    end: 'ERROR',
    error: expect.stringContaining('ended before its last frame') as string,
  })
  expect(cage.rows()).toMatchObject([{ state: 'charged', estimated: 1 }])
})

test('images have no price among embeddings', async () => {
  const { agent } = await openCohere()
  const body = { model: 'embed-v4.0', input_type: 'image', images: ['data:image/png;base64,AAAA'] }
  const reply = await agent.send('cohere', 'POST', '/v2/embed', JSON.stringify(body))
  expect([reply.status, reply.json()]).toMatchObject([403, { code: 'price_unknown', facts: { field: 'images' } }])
})
