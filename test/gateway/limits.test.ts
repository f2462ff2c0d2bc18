/** The limits of a request, and the answer to bytes that are no request. */
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import { nanodollars, toUsd } from '../../src/core/money.ts'
import { MAX_OPEN_STREAMS } from '../../src/gateway/provider/open-streams.ts'
import { chatFrames, hangs, streams } from '../support/provider.ts'
import { openTestRuntime, type TestAgent, type TestRuntime } from '../support/runtime.ts'

const BODY = '{"model":"penny","max_tokens":4,"messages":[]}'

/** Sends bytes as they are and ends the connection, as no client does that means well. Returns everything answered. */
async function sendBytes(cage: TestRuntime, agent: TestAgent, headers: string[], body: string): Promise<string> {
  const { port } = new URL(cage.url)
  const socket = connect(Number(port), '127.0.0.1')
  const head = [
    `POST /gateway/${agent.token}/openai/v1/chat/completions HTTP/1.1`,
    `Host: localhost:${port}`,
    'Content-Type: application/json',
    'Connection: close',
    ...headers,
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  return text(socket)
}

test.each([
  ['both lengths', ['Content-Length: 46', 'Transfer-Encoding: chunked'], `2e\r\n${BODY}\r\n0\r\n\r\n`, 400],
  ['two lengths', ['Content-Length: 46', 'Content-Length: 45'], BODY, 400],
  ['a length that is no number', ['Content-Length: 4six'], BODY, 400],
  ['a negative length', ['Content-Length: -46'], BODY, 400],
  ['a length that ends in the middle of the body', ['Content-Length: 20'], BODY, 400],
  ['a chunk that is no chunk', ['Transfer-Encoding: chunked'], `zz\r\n${BODY}\r\n0\r\n\r\n`, 400],
  ['a header of 40 KB', ['Content-Length: 46', `X-Long: ${'x'.repeat(40_000)}`], BODY, 431],
  [
    '200 headers beside its own',
    ['Content-Length: 46', ...Array.from({ length: 200 }, (_, at) => `X-${at}: 1`)],
    BODY,
    400,
  ],
  ['2,500 headers', ['Content-Length: 46', ...Array.from({ length: 2_500 }, (_, at) => `x${at}:1`)], BODY, 431],
])('a request with %s is refused, and nothing is sent or held', async (_name, headers, body, status) => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  expect(await sendBytes(cage, agent, headers, body)).toContain(`HTTP/1.1 ${status} `)
  expect(cage.provider.requests).toEqual([])
  expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
})

test('a body that is shorter than its length is no request', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  await sendBytes(cage, agent, ['Content-Length: 100'], BODY)
  expect(cage.provider.requests).toEqual([])
  expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
})

test('a body that nests deeper than any call is refused, and one that does not is sent', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const nested = (depth: number) =>
    `{"model":"penny","max_tokens":4,"messages":${'['.repeat(depth)}${']'.repeat(depth)}}`
  expect((await agent.chat(nested(100_000))).status).toBe(400)
  expect((await agent.chat(nested(600))).status).toBe(400)
  expect(cage.provider.requests).toEqual([])
  expect((await agent.chat(nested(400))).status).toBe(200)
})

test('one agent has at most half of all streams, and another one still gets one', async () => {
  const cage = await openTestRuntime({ budget: { limit_usd: 10_000 } })
  const [greedy, other] = [cage.addAgent({ limit: '10000' }), cage.addAgent({ limit: '10' })]
  cage.provider.does(hangs)
  const share = MAX_OPEN_STREAMS / 2
  const clients = Array.from({ length: share }, () => new AbortController())
  const open = clients.map(({ signal }) => greedy.open({}, signal).catch(() => undefined))
  // Not all arrive: an agent gets half of a provider's connections, and the rest waits for one.
  await expect.poll(() => greedy.balance().held, { timeout: 60_000 }).toBe(toUsd(nanodollars(share * 4_000_000)))

  const refused = await greedy.chat({ stream: true })
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '1'])
  expect(refused.json()).toMatchObject({ error: { code: 'too_many_streams' } })
  expect(refused.headers['x-should-retry']).toBeUndefined()
  expect(greedy.balance().held).toBe(toUsd(nanodollars(share * 4_000_000)))
  cage.provider.does(streams(chatFrames()))
  expect((await other.chat({ stream: true })).status).toBe(200)

  for (const client of clients) client.abort()
  await Promise.all(open)
  await expect.poll(() => greedy.balance().held, { timeout: 60_000 }).toBe('0')
  // Callers who left before they had a connection left no trace: they cost nothing.
  expect(cage.rows().filter(({ state }) => state === 'charged').length).toBeLessThanOrEqual(256 + 1)
  expect((await greedy.chat({ stream: true })).status).toBe(200)
})

test('an answer that never ends is ended, and its received part is charged', async () => {
  const cage = await openTestRuntime({ provider: { total_timeout_s: 1, idle_timeout_s: 60, retries: 2 } })
  const agent = cage.addAgent()
  let timer: NodeJS.Timeout | undefined
  cage.provider.does((response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    timer = setInterval(() => response.write(': still here\n\n'), 100)
    response.once('close', () => clearInterval(timer))
  })
  const reply = await agent.chat({ stream: true })
  expect(reply.text).toContain('took longer than 1 s in total')
  expect(reply.text).not.toContain('[DONE]')
  expect(cage.rows()).toMatchObject([{ state: 'charged', estimated: 1 }])
  expect(cage.provider.requests).toHaveLength(1)
})
