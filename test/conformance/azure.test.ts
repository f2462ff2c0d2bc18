/** Azure OpenAI with the real client: deployments, their models, keys, versions and errors. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { answer, type Script, sends } from '../support/provider.ts'
import { openTestRuntime, PRICES, type TestAgent, type TestRuntime } from '../support/runtime.ts'
import { atPort, RunningProgram } from './clients.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
let program: RunningProgram
beforeAll(async () => {
  program = await RunningProgram.start(
    { file: 'azure_client.py', environment: '.venv-test' },
    { PATH: process.env.PATH!, AZURE_OPENAI_API_KEY: 'none' },
  )
})
afterAll(() => program.stop())

/** As the real one: a separate key, a version or /v1, one limit, and no options that old versions do not know. */
const azure =
  (script: Script, isOld = false): Script =>
  (response, received) => {
    const { url, headers, body } = received
    const refused = (status: number, message: string) =>
      sends(status, JSON_TYPE, { error: { message, code: `${status}` } })
    const sent = headers['api-key'] ?? headers.authorization?.replace('Bearer ', '')
    if (sent !== 'az-of-the-user') {
      return refused(401, 'Access denied due to missing or invalid subscription key.')(response)
    }
    const path = url.replace(/^\/azure\/v1/, '')
    const isDeployment =
      /^\/openai\/deployments\/house-gpt\/(chat\/completions|embeddings)\?api-version=2024-10-21$/.test(path)
    if (!isDeployment && path !== '/openai/v1/chat/completions') return refused(404, 'Resource not found')(response)
    const request = JSON.parse(body) as Record<string, unknown>
    if ('max_tokens' in request && 'max_completion_tokens' in request) {
      return refused(400, 'Setting max_tokens and max_completion_tokens at the same time is not supported.')(response)
    }
    if (isOld && 'stream_options' in request) {
      return refused(400, 'Unrecognized request argument supplied: stream_options')(response)
    }
    return script(response, received)
  }

async function openAzure(options: object = {}): Promise<{ cage: TestRuntime; agent: TestAgent }> {
  const others = { azure: { dialect: 'azure', models: { 'house-gpt': 'gpt-4o' } } }
  const cage = await openTestRuntime({ others, prices: { 'gpt-4o': PRICES.plain }, ...atPort, ...options })
  return { cage, agent: cage.addAgent() }
}

const run = (cage: TestRuntime, agent: TestAgent, name: string) =>
  program.run({
    case: name,
    model: 'house-gpt',
    environment: {
      AZURE_OPENAI_ENDPOINT: `${cage.url}/gateway/${agent.token}/azure`,
      AZURE_OPENAI_API_KEY: 'az-of-the-user',
      OPENAI_API_VERSION: '2024-10-21',
    },
  })

test.each(['plain', 'streamed', 'tools', 'version_one'])(
  '%s: answered, redacted, and charged as the model behind the deployment',
  async (name) => {
    const { cage, agent } = await openAzure()
    cage.provider.does(azure(answer({ text: ['Ask jane.ro', 'e@northwind-traders.com.'], model: 'gpt-4o' })))
    const { result, error } = await run(cage, agent, name)
    expect(error).toBeUndefined()

    expect(result).toEqual({ text: 'Ask [EMAIL_REDACTED].' })
    // $2.50 and $10 a million tokens, ten in and five out.
    expect(cage.rows()).toMatchObject([{ model: 'gpt-4o', cost_nanos: 75_000, estimated: 0 }])
    expect(JSON.parse(cage.provider.requests[0]!.body)).toMatchObject({ model: 'house-gpt' })
  },
)

test('embeddings of a deployment are charged', async () => {
  const { cage, agent } = await openAzure()
  const data = [{ object: 'embedding', index: 0, embedding: [0.5] }]
  const usage = { prompt_tokens: 10, total_tokens: 10 }
  cage.provider.does(azure(sends(200, JSON_TYPE, { object: 'list', data, model: 'gpt-4o', usage })))
  expect((await run(cage, agent, 'embeddings')).result).toEqual({ count: 1 })
  expect(cage.rows()).toMatchObject([{ model: 'gpt-4o', cost_nanos: 25_000 }])
})

test('a version that refuses stream_options is asked again without them, and from then on', async () => {
  const { cage, agent } = await openAzure()
  cage.provider.does(azure(answer({ text: 'Hello.', usage: undefined, model: 'gpt-4o' }), true))
  for (const _time of [1, 2]) expect((await run(cage, agent, 'streamed')).result).toEqual({ text: 'Hello.' })
  expect(cage.provider.requests).toHaveLength(3)
  expect(cage.rows().map(({ state, estimated }) => [state, estimated])).toEqual([
    ['released', 0],
    ['charged', 1],
    ['charged', 1],
  ])
})

test('a spent budget is the SDK’s own error, asked once', async () => {
  const { cage, agent } = await openAzure({ budget: { on_exhausted: 'refuse' } })
  cage.runtime.ledger.accounts.setLimit(agent.id, cage.runtime.ledger.accounts.balance(agent.id).spent, 'a test')
  const { error } = await run(cage, agent, 'plain')
  expect(error).toMatchObject({ status: 402, code: 'budget_exceeded' })
  expect(error?.classes).toContain('openai.APIStatusError')
  expect(cage.provider.requests).toEqual([])
})

test('a deployment without a model behind it has no price', async () => {
  const { cage, agent } = await openAzure({ others: { azure: { dialect: 'azure' } } })
  expect((await run(cage, agent, 'plain')).error).toMatchObject({ status: 403, code: 'price_unknown' })
  expect(cage.provider.requests).toEqual([])
})
