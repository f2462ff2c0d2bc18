/** Amazon Bedrock with the real clients: signed again by the gateway, and streamed in binary events. */
import { hash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AwsEvent, encodeEvent, wrapped } from '../support/event-stream.ts'
import { type Received, type Script, sends, streams } from '../support/provider.ts'
import { openTestRuntime, PRICES, type RuntimeOptions, type TestAgent, type TestRuntime } from '../support/runtime.ts'
import { atPort, type Outcome, RunningProgram } from './clients.ts'
import { SIGNATURE } from './turn.ts'

const MODEL = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'
const JSON_TYPE = { 'content-type': 'application/json' }
const EVENTS = 'application/vnd.amazon.eventstream'
const CLIENTS_KEYS = { AWS_ACCESS_KEY_ID: 'AKIA-of-the-client', AWS_SECRET_ACCESS_KEY: 'none', AWS_MAX_ATTEMPTS: '1' }

let program: RunningProgram
beforeAll(async () => {
  program = await RunningProgram.start(
    { file: 'bedrock_client.py', environment: '.venv-test-providers' },
    { PATH: process.env.PATH!, AWS_EC2_METADATA_DISABLED: 'true', ...CLIENTS_KEYS },
  )
})
afterAll(() => program.stop())

const KNOWN = new Set(
  `messages system inferenceConfig toolConfig additionalModelRequestFields anthropic_version max_tokens`.split(' '),
)

interface Said {
  content: object[]
  stopReason?: string
  events?: AwsEvent[]
}

const USAGE = { inputTokens: 10, outputTokens: 5, totalTokens: 15 }
const COUNTED = { input_tokens: 10, output_tokens: 5 }

/** Bedrock as it answers: to a signed request, without its extra fields. */
const bedrock =
  ({ content, stopReason = 'end_turn', events = [] }: Said): Script =>
  (response, received) => {
    const { url, body, headers } = received
    const refused = (status: number, type: string, message: string) =>
      sends(status, { ...JSON_TYPE, 'x-amzn-errortype': type }, { message })(response)
    if (!headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=AKIA-of-the-server/')) {
      return refused(403, 'UnrecognizedClientException', 'The security token included in the request is invalid.')
    }
    const unknown = Object.keys(JSON.parse(body) as object).find((name) => !KNOWN.has(name))
    if (unknown) return refused(400, 'ValidationException', `Unknown parameter in input: "${unknown}"`)
    if (url.endsWith('stream')) return streams(events.map(encodeEvent), 'ends', EVENTS)(response)
    const whole = url.endsWith('/invoke')
      ? { id: 'msg_1', type: 'message', role: 'assistant', content, stop_reason: 'end_turn', usage: COUNTED }
      : { output: { message: { role: 'assistant', content } }, stopReason, usage: USAGE, metrics: { latencyMs: 9 } }
    return sends(200, JSON_TYPE, whole)(response)
  }

const delta = (fields: object): AwsEvent => ({
  type: 'contentBlockDelta',
  data: { contentBlockIndex: 0, delta: fields, p: 'abcdefgh' },
})
const streamOf = (...deltas: object[]): AwsEvent[] => [
  { type: 'messageStart', data: { role: 'assistant', p: 'abc' } },
  ...deltas.map(delta),
  { type: 'contentBlockStop', data: { contentBlockIndex: 0 } },
  { type: 'messageStop', data: { stopReason: 'end_turn' } },
  { type: 'metadata', data: { usage: USAGE, metrics: { latencyMs: 9 } } },
]
const PIECES = ['Ask jane.ro', 'e@northwind', '-traders.com.']

const SERVERS_KEYS = { AWS_ACCESS_KEY_ID: 'AKIA-of-the-server', AWS_SECRET_ACCESS_KEY: 'secret-of-the-server' }

async function openBedrock(options: RuntimeOptions = {}): Promise<{ cage: TestRuntime; agent: TestAgent }> {
  const cage = await openTestRuntime({
    others: { bedrock: {} },
    prices: { [MODEL]: PRICES.plain },
    environment: SERVERS_KEYS,
    ...atPort,
    ...options,
  })
  return { cage, agent: cage.addAgent() }
}

const run = (cage: TestRuntime, agent: TestAgent, name: string, more: object = {}): Promise<Outcome> => {
  const address = `${cage.url}/gateway/${agent.token}/bedrock`
  const addresses = { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: address, ANTHROPIC_BEDROCK_BASE_URL: address }
  const environment = { ...addresses, ...CLIENTS_KEYS, ...more }
  return program.run({ case: name, model: MODEL, environment })
}

/** botocore computes the same signature, of the same body. */
async function requireSigned(cage: TestRuntime, agent: TestAgent, { method, url, headers, body }: Received) {
  const request = { method, url: `${cage.provider.url}${url}`, headers, body }
  const { result } = await run(cage, agent, 'verified', { SIGNED_REQUEST: JSON.stringify(request) })
  expect(headers.authorization).toContain(`Signature=${String(result?.signature)}`)
  expect(result?.named).toEqual(expect.arrayContaining(['host', 'x-amz-content-sha256', 'x-amz-date']))
  expect(headers['x-amz-content-sha256']).toBe(hash('sha256', body))
}

const MAIL = [{ text: 'Ask jane.roe@northwind-traders.com.' }]
const invoked = (text: string) =>
  wrapped({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })

test.each([
  ['plain', { content: MAIL }],
  ['streamed', { content: [], events: streamOf(...PIECES.map((text) => ({ text }))) }],
  ['vision', { content: MAIL }],
  ['anthropic_plain', { content: [{ type: 'text', ...MAIL[0] }] }],
  [
    'anthropic_streamed',
    {
      content: [],
      events: [
        wrapped({ type: 'message_start', message: { id: 'm', role: 'assistant', content: [], usage: COUNTED } }),
        wrapped({ type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }),
        ...PIECES.map(invoked),
        wrapped({ type: 'content_block_stop', index: 0 }),
        wrapped({ type: 'message_delta', delta: { stop_reason: 'end_turn' }, usage: COUNTED }),
        wrapped({ type: 'message_stop', 'amazon-bedrock-invocationMetrics': { inputTokenCount: 10 } }),
      ],
    },
  ],
] as const)('%s: signed with the server’s key, redacted and charged', async (name, said) => {
  const { cage, agent } = await openBedrock()
  cage.provider.does(bedrock(said as unknown as Said))
  const { result, error } = await run(cage, agent, name)
  expect(error).toBeUndefined()
  expect(result).toEqual({ text: 'Ask [EMAIL_REDACTED].' })
  expect(cage.rows()).toMatchObject([{ model: MODEL, cost_nanos: 75_000, estimated: 0 }])
  const [received] = cage.provider.requests
  expect(JSON.stringify(received!.headers)).not.toMatch(/of-the-client|run_/)
  await requireSigned(cage, agent, received!)
})

test('a session token is sent and signed too', async () => {
  const { cage, agent } = await openBedrock({ environment: { ...SERVERS_KEYS, AWS_SESSION_TOKEN: 'of-a-session' } })
  cage.provider.does(bedrock({ content: MAIL }))
  expect((await run(cage, agent, 'plain')).error).toBeUndefined()
  expect(cage.provider.requests[0]!.headers['x-amz-security-token']).toBe('of-a-session')
  await requireSigned(cage, agent, cage.provider.requests[0]!)
})

test('thoughts are redacted apart from the answer, and their signature holds the original', async () => {
  const { cage, agent } = await openBedrock()
  const thoughts = PIECES.map((text) => ({ reasoningContent: { text } }))
  const events = streamOf(...thoughts, { reasoningContent: { signature: SIGNATURE } })
  cage.provider.does(bedrock({ content: [], events }))
  const signature = expect.stringMatching(/^IronCageSeal/)
  expect((await run(cage, agent, 'thinking')).result).toEqual({ text: 'Ask [EMAIL_REDACTED].', signature })
})

test('calls of tools run at the client', async () => {
  const { cage, agent } = await openBedrock()
  const uses = ['Oslo', 'Rome'].map((city) => ({
    toolUse: { toolUseId: `t-${city}`, name: 'warmth', input: { city } },
  }))
  cage.provider.doesOnce(bedrock({ content: uses, stopReason: 'tool_use' }))
  cage.provider.does(bedrock({ content: MAIL }))
  expect((await run(cage, agent, 'tools')).result).toEqual({ text: 'Ask [EMAIL_REDACTED].' })
  expect(cage.provider.requests[1]!.body).toContain('4 degrees in Rome')
})

test('a shielded agent’s keys are its run token, by which it is known', async () => {
  const { cage, agent } = await openBedrock()
  cage.provider.does(bedrock({ content: MAIL }))
  const address = `${cage.url}/gateway/bedrock`
  const environment = { AWS_ENDPOINT_URL_BEDROCK_RUNTIME: address, AWS_ACCESS_KEY_ID: agent.token }
  const { result } = await program.run({ case: 'plain', model: MODEL, environment })
  expect(result).toEqual({ text: 'Ask [EMAIL_REDACTED].' })
  expect(cage.rows()).toMatchObject([{ agent_id: agent.id, cost_nanos: 75_000 }])
})

test.each([
  ['plain', 'ServiceQuotaExceededException'],
  ['streamed', 'ServiceQuotaExceededException'],
  ['anthropic_plain', 'anthropic.APIStatusError'],
])('a spent budget is the client’s own error: %s', async (name, kind) => {
  const { cage, agent } = await openBedrock({ budget: { on_exhausted: 'refuse' } })
  cage.runtime.ledger.accounts.setLimit(agent.id, cage.runtime.ledger.accounts.balance(agent.id).spent, 'a test')
  const { error } = await run(cage, agent, name)
  expect(error?.message).toContain('budget')
  expect(error?.classes.some((one) => one.endsWith(kind))).toBe(true)
  expect(cage.provider.requests).toEqual([])
})

const THROTTLED: AwsEvent = { type: 'throttlingException', data: { message: 'Too many.' }, isException: true }

function damaged(event: Buffer): Buffer {
  event[event.length - 6]! ^= 1
  return event
}

describe('a stream', () => {
  test.each([
    ['ends before its usage', streamOf({ text: 'Hello' }).slice(0, 2).map(encodeEvent)],
    ['ends with an exception', [delta({ text: 'Hello' }), THROTTLED].map(encodeEvent)],
    ['has a damaged event', [encodeEvent(delta({ text: 'Hello' })), damaged(encodeEvent(delta({ text: 'there' })))]],
  ])('a stream that %s is an error, and its delivered part is charged', async (_what, events) => {
    const { cage, agent } = await openBedrock()
    cage.provider.does(streams(events, 'ends', EVENTS))
    const { error } = await run(cage, agent, 'streamed')
    expect(error?.classes).toContain('botocore.EventStreamError')
    expect(cage.rows()).toMatchObject([{ state: 'charged', estimated: 1 }])
  })
})

test.each([
  ['/model/x/converse', { guardrailConfig: { guardrailIdentifier: 'g' } }, 'guardrailConfig'],
  ['/model/x/converse', { toolConfig: { tools: [{ systemTool: { name: 'nova_grounding' } }] } }, 'toolConfig'],
  ['/model/amazon.nova-lite-v1%3A0/invoke', { inputText: 'Hello.' }, undefined],
  ['/model/x/invoke-with-bidirectional-stream', {}, undefined],
  ['/async-invoke', {}, undefined],
])('%s with %j has no price', async (path, body, field) => {
  const { cage, agent } = await openBedrock()
  const answer = await agent.send('bedrock', 'POST', path, JSON.stringify({ messages: [], ...body }))
  expect([answer.status, answer.json()]).toMatchObject([
    403,
    { reason: 'price_unknown', __type: 'AccessDeniedException' },
  ])
  if (field) expect(answer.json()).toMatchObject({ facts: { field } })
  expect(cage.provider.requests).toEqual([])
})

test('without a secret key nothing is sent', async () => {
  const { cage, agent } = await openBedrock({ environment: { AWS_ACCESS_KEY_ID: 'AKIA-of-the-server' } })
  const { error } = await run(cage, agent, 'plain')
  expect(error?.message).toContain('AWS_SECRET_ACCESS_KEY')
  expect(cage.provider.requests).toEqual([])
  expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
})
