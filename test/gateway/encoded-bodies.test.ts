/** Requests that clients compress, and clients that speak another version of HTTP. */
import { execFile } from 'node:child_process'
import { connect } from 'node:http2'
import { promisify } from 'node:util'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { openTestRuntime, type Reply, send, type TestAgent } from '../support/runtime.ts'

const MAIL = 'ceo@acme.com'
const BODY = {
  model: 'penny',
  max_tokens: 4,
  messages: [{ role: 'user', content: `Write to ${MAIL}. ${'x'.repeat(300_000)}` }],
}

const post = (agent: TestAgent, body: Buffer, encoding: string): Promise<Reply> =>
  send(`${agent.openai}/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer sk-x', 'content-encoding': encoding },
    body,
  })
const codeOf = (reply: Reply) => (reply.json().error as { code: string }).code

test.each([
  ['gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
  ['identity', Buffer.from],
] as [string, (bytes: Buffer) => Buffer][])(
  'a body in %s is read, priced, redacted and sent as it was meant',
  async (encoding, compress) => {
    const cage = await openTestRuntime({ safety: { scope: ['replies', 'requests'] } })
    const agent = cage.addAgent()
    for (const { content } of [{ content: `Write to ${MAIL}.` }, BODY.messages[0]!]) {
      const body = { ...BODY, messages: [{ role: 'user', content }] }
      expect((await post(agent, compress(Buffer.from(JSON.stringify(body))), encoding)).status).toBe(200)
      const sent = cage.provider.requests.at(-1)!
      expect(sent.headers['content-encoding']).toBeUndefined()
      expect(sent.body).not.toContain(MAIL)
      expect(JSON.parse(sent.body)).toMatchObject({ model: 'penny', max_tokens: 4 })
    }
    expect(cage.of('pii.found').length).toBeGreaterThan(0)
  },
)

test('a body that cannot be decoded is refused with a reason, and no request is sent', async () => {
  const cage = await openTestRuntime({ server: { max_body_bytes: 100_000 } })
  const agent = cage.addAgent()
  const bomb = gzipSync(Buffer.alloc(50_000_000))
  expect(bomb.length).toBeLessThan(100_000)
  const replies = [
    await post(agent, bomb, 'gzip'),
    await post(agent, Buffer.from('{}'), 'gzip'),
    await post(agent, gzipSync('{"model":"penny"}').subarray(0, 20), 'gzip'),
    await post(agent, Buffer.from('{}'), 'compress'),
    await post(agent, gzipSync(gzipSync('{}')), 'gzip, gzip'),
  ]
  expect(replies.map((reply) => [reply.status, codeOf(reply)])).toEqual([
    [413, 'body_too_large'],
    [400, 'bad_request'],
    [400, 'bad_request'],
    [415, 'unsupported_encoding'],
    [415, 'unsupported_encoding'],
  ])
  expect(cage.provider.requests).toEqual([])
})

test('a client that speaks HTTP/2 only is refused in its own frames, with a reason', async () => {
  const cage = await openTestRuntime()
  const session = connect(cage.url)
  const goaway = await new Promise<[number, string]>((resolve, reject) => {
    session.on('goaway', (code, _last, data) => resolve([code, Buffer.from(data ?? []).toString()]))
    session.on('error', () => undefined)
    session.on('close', () => reject(new Error('closed without a reason')))
  })
  session.destroy()
  const HTTP_1_1_REQUIRED = 13
  expect(goaway).toEqual([HTTP_1_1_REQUIRED, expect.stringContaining('configure your client')])
})

test('curl can read the reason of a refusal, and a request that is not HTTP gets a 400', async () => {
  const cage = await openTestRuntime()
  const curl = (...args: string[]) =>
    promisify(execFile)('curl', ['-sv', ...args]).then(
      ({ stdout, stderr }) => stdout + stderr,
      ({ stdout, stderr }) => stdout + stderr,
    )
  expect(await curl('--http2-prior-knowledge', `${cage.url}/api/health`)).toContain('GOAWAY, error=13')
  expect(
    await curl('-o', '/dev/null', '-w', '%{http_code}', '-H', `X: ${'a'.repeat(40_000)}`, `${cage.url}/api/health`),
  ).toMatch(/431$|431/)
})
