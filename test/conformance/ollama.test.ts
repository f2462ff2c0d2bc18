/** Ollama with the real client: its own API, whole and streamed, on one's own machine at no cost. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Script, sends } from '../support/provider.ts'
import { openTestRuntime, type RuntimeOptions, type TestAgent, type TestRuntime } from '../support/runtime.ts'
import { atPort, type Outcome, RunningProgram } from './clients.ts'

const JSON_TYPE = { 'content-type': 'application/json; charset=utf-8' }
let program: RunningProgram
beforeAll(async () => {
  program = await RunningProgram.start(
    { file: 'ollama_client.py', environment: '.venv-test-providers' },
    { PATH: process.env.PATH!, OLLAMA_HOST: 'http://127.0.0.1:9' },
  )
})
afterAll(() => program.stop())

type Line = Record<string, unknown>

const KNOWN: Readonly<Record<string, readonly string[]>> = {
  '/api/chat': ['model', 'messages', 'tools', 'stream', 'format', 'options', 'keep_alive', 'think', 'logprobs'],
  '/api/generate': ['model', 'prompt', 'stream', 'system', 'template', 'context', 'raw', 'images', 'options', 'suffix'],
  '/api/embed': ['model', 'input', 'truncate', 'options', 'keep_alive', 'dimensions'],
}

/** Ollama as it answers: lines, unless a whole answer is wanted; no field that it does not have. */
const ollama =
  (...lines: Line[]): Script =>
  (response, received) => {
    const { body } = received
    const url = received.url.replace('/ollama/v1', '')
    const request = JSON.parse(body || '{}') as Line
    const unknown = Object.keys(request).find((name) => !KNOWN[url]?.includes(name))
    if (unknown !== undefined) return sends(400, JSON_TYPE, { error: `unknown field ${unknown}` })(response)
    const about = { model: request.model, created_at: '2026-11-20T08:52:19.385406455-07:00' }
    const isChat = url === '/api/chat'
    const empty = isChat ? { message: { role: 'assistant', content: '' } } : { response: '' }
    const counts = { total_duration: 5_043_500_667, prompt_eval_count: 10, eval_count: 5 }
    const end = { ...about, ...empty, done: true, done_reason: 'stop', ...counts }
    if (request.stream === false) return sends(200, JSON_TYPE, { ...end, ...lines[0] })(response)
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    for (const line of lines) response.write(`${JSON.stringify({ ...about, ...line, done: false })}\n`)
    response.end(`${JSON.stringify(end)}\n`)
  }

const says = (content: string, more: Line = {}): Line => ({ message: { role: 'assistant', content, ...more } })
const SAID = [says('Ask jane.ro'), says('e@northwind'), says('-traders.com.')]

async function openOllama(options: RuntimeOptions = {}): Promise<{ cage: TestRuntime; agent: TestAgent }> {
  const cage = await openTestRuntime({ others: { ollama: {} }, ...atPort, ...options })
  return { cage, agent: cage.addAgent() }
}

const run = (cage: TestRuntime, agent: TestAgent, name: string, model = 'qwen3'): Promise<Outcome> =>
  program.run({ case: name, model, environment: { OLLAMA_HOST: `${cage.url}/gateway/${agent.token}/ollama` } })

test.each([
  ['plain', [says('Ask jane.roe@northwind-traders.com.')], { text: 'Ask [EMAIL_REDACTED].' }],
  ['streamed', SAID, { text: 'Ask [EMAIL_REDACTED].', done: true }],
  [
    'thinking',
    [...SAID, says(' Hello.')].map(({ message }) => says('', { thinking: (message as Line).content })),
    { text: 'Ask [EMAIL_REDACTED]. Hello.' },
  ],
  ['vision', [says('A pixel.')], { text: 'A pixel.' }],
  [
    'generated',
    [{ response: 'Ask jane.ro' }, { response: 'e@northwind-traders.com.' }],
    { text: 'Ask [EMAIL_REDACTED].' },
  ],
] as const)('%s: answered and redacted, at no cost', async (name, lines, expected) => {
  const { cage, agent } = await openOllama()
  cage.provider.does(ollama(...lines))
  const { result, error } = await run(cage, agent, name)
  expect(error).toBeUndefined()
  expect(result).toEqual(expected)
  const [row] = cage.rows()
  expect(row).toMatchObject({ model: 'qwen3', state: 'charged', cost_nanos: 0, estimated: 0 })
  expect(JSON.parse(row!.usage)).toMatchObject({ input: 10, output: 5 })
})

test('calls of tools are whole, and none continues the one before', async () => {
  const { cage, agent } = await openOllama()
  const call = (city: string) => ({ function: { name: 'warmth', arguments: { city } } })
  cage.provider.doesOnce(
    ollama(says('', { tool_calls: [call('Oslo, 415-55')] }), says('', { tool_calls: [call('Rome')] })),
  )
  cage.provider.does(ollama(says('Warm.')))
  expect((await run(cage, agent, 'tools')).result).toEqual({ text: 'Warm.' })
  const asked = JSON.parse(cage.provider.requests[1]!.body) as { messages: Line[] }
  const results = asked.messages.filter(({ role }) => role === 'tool').map(({ content }) => content)
  expect(results).toEqual(['12 degrees in Oslo, 415-55', '4 degrees in Rome'])
})

test('embeddings are counted, and read-only routes are free', async () => {
  const { cage, agent } = await openOllama()
  cage.provider.doesOnce(sends(200, JSON_TYPE, { model: 'x', embeddings: [[0.5], [0.25]], prompt_eval_count: 10 }))
  expect((await run(cage, agent, 'embedded')).result).toEqual({ count: 2 })
  cage.provider.doesOnce(sends(200, JSON_TYPE, { models: [{ model: 'qwen3', details: { families: ['qwen3'] } }] }))
  expect((await run(cage, agent, 'listed')).result).toEqual({ text: 'qwen3' })
  cage.provider.doesOnce(sends(200, JSON_TYPE, { modelfile: '# of jane.roe@northwind-traders.com', model_info: {} }))
  expect((await run(cage, agent, 'shown')).result).toEqual({ text: '# of [EMAIL_REDACTED]' })
  expect(cage.rows()).toMatchObject([{ cost_nanos: 0, estimated: 0 }])
})

test('an agent loads no models', async () => {
  const { cage, agent } = await openOllama()
  const { error } = await run(cage, agent, 'pulled')
  expect(error).toMatchObject({ status: 403, message: expect.stringContaining('POST /api/pull of ollama') as string })
  expect(cage.provider.requests).toEqual([])
})

test('a model that Ollama has answered elsewhere has no price until one is configured', async () => {
  const { cage, agent } = await openOllama()
  expect((await run(cage, agent, 'plain', 'gpt-oss:120b-cloud')).error).toMatchObject({ status: 403 })
  expect(cage.provider.requests).toEqual([])
})

const PRICED = { prices: { 'ollama/qwen3': { input_per_mtok: 2.5, output_per_mtok: 10 } } }

test('a call with a price is charged and limited by num_predict, and a spent budget is the client’s own error', async () => {
  const { cage, agent } = await openOllama({ ...PRICED, budget: { on_exhausted: 'refuse' } })
  cage.provider.does(ollama(...SAID))
  expect((await run(cage, agent, 'streamed')).result).toMatchObject({ done: true })
  expect(cage.rows()).toMatchObject([{ cost_nanos: 75_000, estimated: 0 }])
  const { options } = JSON.parse(cage.provider.requests[0]!.body) as { options: Line }
  expect(options.num_predict).toBeGreaterThan(0)
  cage.runtime.ledger.accounts.setLimit(agent.id, cage.runtime.ledger.accounts.balance(agent.id).spent, 'a test')
  const { error } = await run(cage, agent, 'streamed')
  expect(error).toMatchObject({ status: 402 })
  expect(error?.classes).toContain('ollama.ResponseError')
  expect(cage.provider.requests).toHaveLength(1)
})

test('a broken stream is an error, and its delivered part is charged', async () => {
  const { cage, agent } = await openOllama(PRICED)
  cage.provider.does((response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.end(`${JSON.stringify({ model: 'qwen3', ...says('Hello'), done: false })}\n{"mod`)
  })
  const { error } = await run(cage, agent, 'streamed')
  expect(error?.classes).toContain('ollama.ResponseError')
  expect(cage.rows()).toMatchObject([{ state: 'charged', estimated: 1 }])
})
