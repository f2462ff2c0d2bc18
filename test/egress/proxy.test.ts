/** The way out of agents, with raw sockets and real clients of TLS, beside real servers. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import { describe, expect, test } from 'vitest'
import { ask, by, egress, encrypt, open, openPlain, tunnel } from './support.ts'

describe('a service behind its own address', () => {
  test('is priced, redacted and recorded, in TLS that this server ends', async () => {
    const { echo, cage } = await open()
    const agent = cage.addAgent(egress())
    const { status, socket } = await tunnel(cage, 'api.linkedin.com:443', by(agent))
    expect(status).toBe(200)
    const tls = await encrypt(cage, socket, 'api.linkedin.com')
    const body = JSON.stringify({ to: 'john.smith@acme-corp.com' })
    const headers = { host: 'api.linkedin.com', 'content-type': 'application/json' }
    const answer = await ask(tls, '/v2/people?q=1', headers, 'POST', body)
    expect(answer.status).toBe(200)
    expect(JSON.parse(answer.text)).toEqual({
      url: '/v2/people?q=1',
      method: 'POST',
      body: '{"to":"[EMAIL_REDACTED]"}',
    })
    expect(answer.headers['x-iron-cage-cost-usd']).toBe('0.1')
    expect(echo.seen[0]!.headers).not.toHaveProperty('proxy-authorization')
    expect(cage.of('service.called')[0]!.data).toMatchObject({ service: 'linkedin_api', cost_usd: '0.1', via: 'proxy' })
    expect(cage.of('egress.allowed')[0]!.data).toMatchObject({ host: 'api.linkedin.com', kind: 'service', count: 1 })
    expect(agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
  })

  test('gives its redirects back to the client', async () => {
    const { cage } = await open()
    const { socket } = await tunnel(cage, 'api.linkedin.com:443', by(cage.addAgent(egress())))
    const tls = await encrypt(cage, socket, 'api.linkedin.com')
    const answer = await ask(tls, '/moved', { host: 'api.linkedin.com' })
    expect(answer).toMatchObject({ status: 302, headers: { location: 'https://elsewhere.example/' } })
  })

  test('is reached by plain HTTP in absolute form as well', async () => {
    const { cage } = await open()
    const agent = cage.addAgent(egress())
    const { hostname, port } = new URL(cage.url)
    const socket = connect(Number(port), hostname)
    const authorization = `Basic ${Buffer.from(by(agent)).toString('base64')}`
    const headers = { host: 'api.linkedin.com', 'proxy-authorization': authorization }
    const answer = await ask(socket, 'http://api.linkedin.com/v2/x', headers)
    expect(JSON.parse(answer.text)).toMatchObject({ url: '/v2/x' })
    expect(agent.balance()).toMatchObject({ spent: '0.1' })
  })

  test.each([
    ['another Host', '/v2/x', 'evil.example', 421],
    ['a Host with another port', '/v2/x', 'api.linkedin.com:444', 421],
    ['an absolute form', 'https://evil.example/', 'api.linkedin.com', 400],
  ])('refuses %s inside its connection', async (_, path, host, status) => {
    const { echo, cage } = await open()
    const { socket } = await tunnel(cage, 'api.linkedin.com:443', by(cage.addAgent(egress())))
    const tls = await encrypt(cage, socket, 'api.linkedin.com')
    expect((await ask(tls, path, { host })).status).toBe(status)
    expect(echo.seen).toHaveLength(0)
  })

  test('refuses another server name in TLS', async () => {
    const { cage } = await open()
    const { socket } = await tunnel(cage, 'api.linkedin.com:443', by(cage.addAgent(egress())))
    const tls = connectTls({ socket, servername: 'evil.example', rejectUnauthorized: false }).on('error', () => {})
    await once(tls, 'close')
    expect(cage.of('egress.denied')[0]!.data).toMatchObject({
      host: 'api.linkedin.com',
      reason: 'egress_host_mismatch',
    })
  })

  test('refuses both a length and chunks in one request', async () => {
    const { echo, cage } = await open()
    const { socket } = await tunnel(cage, 'api.linkedin.com:443', by(cage.addAgent(egress())))
    const tls = await encrypt(cage, socket, 'api.linkedin.com')
    tls.write(
      'POST /a HTTP/1.1\r\nhost: api.linkedin.com\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\nhost: api.linkedin.com\r\n\r\n',
    )
    expect(await text(tls)).toMatch(/^HTTP\/1\.1 400 /)
    expect(echo.seen).toHaveLength(0)
  })
})

describe('a provider behind its own address', () => {
  test('takes the gateway: priced, and refused for a model without a price', async () => {
    const { cage } = await open()
    const agent = cage.addAgent(egress())
    const { host } = new URL(cage.provider.url)
    const chat = async (model: string) => {
      const { socket } = await tunnel(cage, host, by(agent))
      const body = JSON.stringify({ model, max_tokens: 4, messages: [{ role: 'user', content: 'hi' }] })
      const headers = { host, 'content-type': 'application/json', authorization: 'Bearer sk-of-the-agent' }
      return ask(socket, '/v1/chat/completions', headers, 'POST', body)
    }
    expect((await chat('penny')).status).toBe(200)
    expect(cage.of('call.completed')[0]!.data).toMatchObject({ provider: 'openai', model: 'penny' })
    expect((await chat('of-nobody')).status).toBe(403)
    expect(cage.provider.requests).toHaveLength(1)
  })
})

describe('a listed host', () => {
  test('is a tunnel, byte for byte', async () => {
    const { cage } = await open()
    const port = await openPlain()
    const target = `127.0.0.1:${port}`
    const { status, socket } = await tunnel(cage, target, by(cage.addAgent(egress([], [target]))))
    expect(status).toBe(200)
    const sent = Buffer.alloc(300_000, 'abcdefg')
    socket.end(sent)
    const got: Buffer[] = []
    for await (const chunk of socket as AsyncIterable<Buffer>) got.push(chunk)
    expect(Buffer.concat(got).equals(sent)).toBe(true)
    expect(cage.of('egress.allowed')[0]!.data).toMatchObject({ port, kind: 'tunnel', is_listed: true })
  })

  test.each([
    '127.0.0.1',
    '[::1]',
    '[::ffff:127.0.0.1]',
    '10.0.0.1',
    '169.254.169.254',
    '[64:ff9b::7f00:1]',
    'localhost',
  ])('at %s is refused unless it is listed as private', async (host) => {
    const { cage } = await open()
    const target = `${host}:4431`
    const { status, reason } = await tunnel(cage, target, by(cage.addAgent(egress([target]))))
    expect([status, reason.split(' ')[0]]).toEqual([403, 'egress_address_refused'])
  })

  test.each(['127.0.0.1', 'localhost', '0.0.0.0', '[::1]'])(
    'is never this server: not at %s, even if it is listed as private',
    async (host) => {
      const { cage } = await open()
      const target = `${host}:${new URL(cage.url).port}`
      for (const mode of ['enforce', 'observe'] as const) {
        const agent = cage.addAgent({ ...egress([target], [target], mode), name: mode })
        expect((await tunnel(cage, target, by(agent))).status).toBe(403)
      }
    },
  )
})

describe('a refusal', () => {
  test('names its code and the host in the reason phrase, and is one event however often it is repeated', async () => {
    const { cage } = await open()
    const agent = cage.addAgent(egress(['api.github.com']))
    for (let n = 0; n < 5; n++) {
      const { status, reason } = await tunnel(cage, 'evil.example:443', by(agent))
      expect([status, reason]).toEqual([403, 'egress_denied evil.example'])
    }
    expect(cage.of('egress.denied')).toHaveLength(1)
    expect((await tunnel(cage, 'api.github.com:444', by(agent))).status).toBe(403)
  })

  test.each(['127.1:443', '0x7f.1:443', 'evil%00.example:443', 'a b:443', 'user@evil.example:443', 'evil.example'])(
    'of "%s" is a bad request',
    async (target) => {
      const { cage } = await open()
      const { status } = await tunnel(cage, target, by(cage.addAgent(egress(['evil.example']))))
      expect(status).toBe(400)
    },
  )

  test('is for callers that are no run of this server', async () => {
    const { cage } = await open()
    const agent = cage.addAgent(egress([], ['127.0.0.1:9']))
    const statusOf = async (credentials: string | null) =>
      (await tunnel(cage, 'api.linkedin.com:443', credentials)).status
    expect(await statusOf(null)).toBe(407)
    expect(await statusOf('run:wrong')).toBe(407)
    expect(await statusOf(`run:run_${'Aa1'.repeat(14)}x`)).toBe(401)
    cage.runtime.runTokens.revoke(agent.runId)
    expect(await statusOf(by(agent))).toBe(401)
    const refused = cage.of('auth.failed').map(({ message }) => message)
    expect(refused).toHaveLength(4)
    expect(refused.join()).not.toMatch(/run_[A-Za-z0-9]/)
  })

  test('is for a run without a list, where only services and providers are reached', async () => {
    const { cage } = await open()
    const agent = cage.addAgent()
    expect((await tunnel(cage, 'evil.example:443', by(agent))).status).toBe(403)
    expect((await tunnel(cage, 'api.linkedin.com:443', by(agent))).status).toBe(200)
  })
})

test('in mode observe nothing is refused, and what is not listed is recorded', async () => {
  const { cage } = await open()
  const port = await openPlain()
  const agent = cage.addAgent(egress([], [], 'observe'))
  expect((await tunnel(cage, `127.0.0.1:${port}`, by(agent))).status).toBe(200)
  expect(cage.of('egress.allowed')[0]!.data).toMatchObject({ host: '127.0.0.1', port, is_listed: false })
})

test('connections end with their run, and a run has 256 at most', async () => {
  const { cage } = await open()
  const target = `127.0.0.1:${await openPlain()}`
  const agent = cage.addAgent(egress([], [target]))
  const other = cage.addAgent({ ...egress([], [target]), name: 'other' })
  const all = await Promise.all(Array.from({ length: 256 }, () => tunnel(cage, target, by(agent))))
  expect(new Set(all.map(({ status }) => status))).toEqual(new Set([200]))
  expect((await tunnel(cage, target, by(agent))).status).toBe(503)
  const others = await tunnel(cage, target, by(other))
  expect(others.status).toBe(200)
  const ended = Promise.all(all.map(({ socket }) => once(socket.resume(), 'close')))
  cage.runtime.state.record({
    type: 'agent.exited',
    level: 'OK',
    agent_id: agent.id,
    message: 'worker completed',
    data: { run_id: agent.runId, exit_code: 0, signal: null, state: 'completed', reason: 'exit', restart_in_ms: null },
  })
  await ended
  expect(others.socket.destroyed).toBe(false)
})
