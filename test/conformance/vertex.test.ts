/** Vertex AI with the real clients: tokens that the gateway gets for a service account, Anthropic's models and Gemini. */
import { generateKeyPairSync } from 'node:crypto'
import { importSPKI, jwtVerify } from 'jose'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { answer, type Script, sends, streams } from '../support/provider.ts'
import { openTestRuntime, PRICES, type RuntimeOptions, type TestAgent, type TestRuntime } from '../support/runtime.ts'
import { atPort, type Outcome, RunningProgram } from './clients.ts'

const MODEL = 'claude-sonnet-4-5@20250929'
const JSON_TYPE = { 'content-type': 'application/json' }
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const [PRIVATE, PUBLIC] = [
  privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  publicKey.export({ type: 'spki', format: 'pem' }).toString(),
]
const ROBOT = 'robot@house.iam.gserviceaccount.com'

let program: RunningProgram
beforeAll(async () => {
  program = await RunningProgram.start(
    { file: 'vertex_client.py', environment: '.venv-test-providers' },
    { PATH: process.env.PATH! },
  )
})
afterAll(() => program.stop())

/** Google's token server and Vertex AI: a token for a valid assertion, answers for that token. */
const vertex =
  (script: Script): Script =>
  async (response, received) => {
    const { url, headers, body } = received
    if (url === '/token') {
      const assertion = new URLSearchParams(body).get('assertion')!
      const { payload } = await jwtVerify(assertion, await importSPKI(PUBLIC, 'RS256'), { issuer: ROBOT })
      const isRight =
        payload.scope === 'https://www.googleapis.com/auth/cloud-platform' && `${payload.aud}`.endsWith('/token')
      return sends(isRight ? 200 : 400, JSON_TYPE, { access_token: 'token-of-google', expires_in: 3_600 })(response)
    }
    if (headers.authorization !== 'Bearer token-of-google') return sends(401, JSON_TYPE, { error: {} })(response)
    const { model, anthropic_version } = JSON.parse(body) as Record<string, unknown>
    if (model !== undefined && !url.includes('count-tokens')) {
      return sends(400, JSON_TYPE, { error: { message: 'model: Extra inputs are not permitted' } })(response)
    }
    if (url.includes('/anthropic/') && typeof anthropic_version !== 'string') {
      return sends(400, JSON_TYPE, { error: { message: 'anthropic_version: Field required' } })(response)
    }
    return script(response, { ...received, dialect: 'anthropic' })
  }

const GEMINI = (text: string, more: object = {}) => ({
  candidates: [{ content: { role: 'model', parts: [{ text }] }, ...more }],
  usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 },
})
const PIECES = ['Ask jane.ro', 'e@northwind', '-traders.com.']

async function openVertex(options: RuntimeOptions = {}): Promise<{ cage: TestRuntime; agent: TestAgent }> {
  const cage = await openTestRuntime({
    others: { vertex: {} },
    prices: { [MODEL]: PRICES.plain, 'gemini-2.5-flash': PRICES.plain },
    environment: ({ url }) => ({ GOOGLE_APPLICATION_CREDENTIALS_JSON: accountAt(url) }),
    ...atPort,
    ...options,
  })
  return { cage, agent: cage.addAgent() }
}

const accountAt = (url: string): string =>
  JSON.stringify({ type: 'service_account', client_email: ROBOT, private_key: PRIVATE, token_uri: `${url}/token` })

const run = (cage: TestRuntime, agent: TestAgent, name: string): Promise<Outcome> => {
  const address = `${cage.url}/gateway/${agent.token}/vertex`
  const environment = { ANTHROPIC_VERTEX_BASE_URL: `${address}/v1`, GOOGLE_VERTEX_BASE_URL: address }
  return program.run({ case: name, model: MODEL, environment })
}

const frame = (value: object) => `data: ${JSON.stringify(value)}\n\n`

test.each([
  ['plain', answer({ text: PIECES })],
  ['streamed', answer({ text: PIECES })],
  ['gemini_plain', sends(200, JSON_TYPE, GEMINI(PIECES.join(''), { finishReason: 'STOP' }))],
  [
    'gemini_streamed',
    streams([...PIECES.map((text) => frame(GEMINI(text))), frame(GEMINI('', { finishReason: 'STOP' }))]),
  ],
] as const)('%s: with a token of Google, redacted and charged', async (name, script) => {
  const { cage, agent } = await openVertex()
  cage.provider.does(vertex(script as Script))
  for (const _time of [1, 2]) {
    const { result, error } = await run(cage, agent, name)
    expect(error).toBeUndefined()
    expect(result).toEqual({ text: 'Ask [EMAIL_REDACTED].' })
  }
  expect(cage.rows()).toMatchObject([{ cost_nanos: 75_000, estimated: 0 }, { cost_nanos: 75_000 }])
  // One token serves both.
  expect(cage.provider.requests.map(({ url }) => url === '/token')).toEqual([true, false, false])
  expect(JSON.stringify(cage.provider.requests.map(({ headers }) => headers))).not.toContain('of-the-client')
})

test('counting tokens is free', async () => {
  const { cage, agent } = await openVertex()
  cage.provider.does(vertex(sends(200, JSON_TYPE, { input_tokens: 7 })))
  expect((await run(cage, agent, 'counted')).result).toEqual({ count: 7 })
  expect(cage.rows()).toEqual([])
})

test('a spent budget is the client’s own error', async () => {
  const { cage, agent } = await openVertex({ budget: { on_exhausted: 'refuse' } })
  cage.runtime.ledger.accounts.setLimit(agent.id, cage.runtime.ledger.accounts.balance(agent.id).spent, 'a test')
  const { error } = await run(cage, agent, 'streamed')
  expect(error).toMatchObject({ status: 402 })
  expect(error?.classes).toContain('anthropic.APIStatusError')
  expect((await run(cage, agent, 'gemini_plain')).error).toMatchObject({ status: 402, code: 'budget_exceeded' })
  expect(cage.provider.requests).toEqual([])
})

test.each([
  ['no service account', 'AIza-a-key', 'provider_key_missing'],
  ['an account that Google refuses', accountAt('http://127.0.0.1:9'), 'provider_unreachable'],
])('with %s nothing is sent or charged', async (_what, key, reason) => {
  const { cage, agent } = await openVertex({ environment: { GOOGLE_APPLICATION_CREDENTIALS_JSON: key } })
  const path = `/v1/projects/p/locations/l/publishers/anthropic/models/${MODEL}:rawPredict`
  const reply = await agent.send('vertex', 'POST', path, JSON.stringify({ messages: [], max_tokens: 5 }))
  expect(reply.json()).toMatchObject({ error: { details: [{ reason }] } })
  expect(cage.provider.requests).toEqual([])
  expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
})

test('other models, methods and routes are refused', async () => {
  const { cage, agent } = await openVertex()
  const refused = [
    'publishers/mistralai/models/x:rawPredict',
    'publishers/google/models/x:predict',
    'endpoints/1:predict',
  ]
  for (const rest of refused) {
    expect((await agent.send('vertex', 'POST', `/v1/projects/p/locations/l/${rest}`, '{}')).status).toBe(403)
  }
  expect(cage.provider.requests).toEqual([])
})
