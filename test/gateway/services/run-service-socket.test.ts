/** WebSockets of real clients to services, through TLS that this server ends. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { ask, by, egress, encrypt, open, tunnel } from '../../egress/support.ts'
import type { RuntimeOptions } from '../../support/runtime.ts'

type Behaviour = (socket: WebSocket, request: IncomingMessage) => void

const echo: Behaviour = (socket) => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))

/** `refuses`: the status of its answer to a handshake. (Default: it accepts.) */
async function openSocketService(behave: Behaviour = echo, refuses?: number, more: RuntimeOptions = {}, settings = {}) {
  const seen: IncomingMessage[] = []
  const sockets = new WebSocketServer({ noServer: true })
  const server = createServer().listen(0, '127.0.0.1')
  server.on('upgrade', (request, socket, head) => {
    seen.push(request)
    if (refuses) return void socket.end(`HTTP/1.1 ${refuses} No\r\ncontent-length: 6\r\nx-why: key\r\n\r\nno key`)
    sockets.handleUpgrade(request, socket, head, (opened) =>
      behave(
        opened.on('error', () => {}),
        request,
      ),
    )
  })
  await once(server, 'listening')
  onTestFinished(() => {
    for (const client of sockets.clients) client.terminate()
    server.closeAllConnections()
    server.close()
  })
  const { cage } = await open({
    ...more,
    environment: { FEED_KEY: 'key-of-the-service' },
    services: {
      feed: {
        base_url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
        hosts: ['feed.example'],
        cost_per_call_usd: '0.10',
        api_key_secret: 'FEED_KEY',
        retries: 0,
        breaker: { failures: 2 },
        redact: ['requests', 'replies'],
        ...settings,
      },
    },
  })
  const agent = cage.addAgent(egress())
  const dial = async (path = '/stream', protocols: string[] = [], headers: Record<string, string> = {}) => {
    const { socket } = await tunnel(cage, 'feed.example:443', by(agent))
    const tls = await encrypt(cage, socket, 'feed.example')
    const client = new WebSocket(`wss://feed.example${path}`, protocols, { createConnection: () => tls, headers })
    onTestFinished(() => client.terminate())
    return client.on('error', () => {})
  }
  return { cage, agent, seen, dial, clients: sockets.clients }
}

const next = async (socket: WebSocket): Promise<string> => String(((await once(socket, 'message')) as [RawData])[0])

describe('a WebSocket to a service', () => {
  test('is priced at its handshake, and relays both ways', async () => {
    const { cage, agent, seen, dial } = await openSocketService()
    const client = await dial('/stream?a=1', ['v2.feed', 'v1.feed'], {
      authorization: `Bearer ${agent.token}`,
      'x-team': 'a',
    })
    await once(client, 'open')
    expect(client.protocol).toBe('v2.feed')
    expect((await cage.event('service.called')).data).toMatchObject({
      ...{ service: 'feed', ok: true, status: 101, cost_usd: '0.1', via: 'proxy' },
    })
    expect(agent.balance()).toMatchObject({ spent: '0.1', held: '0' })
    for (let n = 0; n < 20; n++) {
      client.send(`message ${n}`)
      expect(await next(client)).toBe(`message ${n}`)
    }
    const bytes = Buffer.from([0, 1, 2, 255])
    client.send(bytes)
    const [back, isBinary] = await once(client, 'message')
    expect([Buffer.compare(back, bytes), isBinary]).toEqual([0, true])
    expect(seen[0]).toMatchObject({ url: '/v1/stream?a=1' })
    expect(seen[0]!.headers).toMatchObject({ authorization: 'Bearer key-of-the-service', 'x-team': 'a' })
    expect(JSON.stringify(seen[0]!.rawHeaders)).not.toContain(agent.token)
    client.close(4001, 'done')
    expect(await once(client, 'close')).toMatchObject([4001, Buffer.from('done')])
    expect(cage.of('service.called')).toHaveLength(1)
  })

  test('has its text redacted in both directions, in order', async () => {
    const got: string[] = []
    const { dial, cage } = await openSocketService((socket) => {
      socket.send('{"from":"eve@acme-corp.com"}')
      socket.on('message', (data) => {
        got.push(String(data))
        if (got.length === 3) socket.send('all')
      })
    })
    const client = await dial()
    expect(await next(client)).toBe('{"from":"[EMAIL_REDACTED]"}')
    for (const message of [`${'x '.repeat(100_000)}ann@acme-corp.com`, '{"card":4242424242424242}', 'last'])
      client.send(message)
    expect(await next(client)).toBe('all')
    expect(got.map((each) => each.slice(-30))).toEqual([
      expect.stringMatching(/x \[EMAIL_REDACTED\]$/),
      expect.stringMatching(/"\[CREDIT_CARD_REDACTED\]"\}$/),
      'last',
    ])
    expect(cage.of('pii.found').length).toBeGreaterThanOrEqual(2)
  })

  test('passes text as it is where nothing is redacted', async () => {
    const { dial } = await openSocketService(echo, undefined, {}, { redact: [] })
    const client = await dial()
    await once(client, 'open')
    client.send('ann@acme-corp.com')
    expect(await next(client)).toBe('ann@acme-corp.com')
  })

  test('is closed by a message that is blocked, which does not arrive', async () => {
    const got: string[] = []
    const { dial } = await openSocketService(
      (socket) => socket.on('message', (data) => got.push(String(data))),
      undefined,
      { safety: { mode: 'block' } },
    )
    const client = await dial()
    await once(client, 'open')
    client.send('to ann@acme-corp.com')
    expect(await once(client, 'close')).toMatchObject([1008, Buffer.from('pii_blocked')])
    expect(got).toEqual([])
  })

  test('is refused as the service refuses it, at no cost', async () => {
    const { dial, agent } = await openSocketService(echo, 401)
    const [, response] = (await once(await dial(), 'unexpected-response')) as [unknown, IncomingMessage]
    expect([response.statusCode, response.headers['x-why'], await text(response)]).toEqual([401, 'key', 'no key'])
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })

  test('counts against the circuit of a service that fails, which then answers at once', async () => {
    const { dial, agent, cage, seen } = await openSocketService(echo, 503)
    const statusOf = async () =>
      ((await once(await dial(), 'unexpected-response')) as [unknown, IncomingMessage])[1].statusCode
    expect([await statusOf(), await statusOf(), await statusOf()]).toEqual([503, 503, 503])
    expect(seen).toHaveLength(2)
    expect(cage.of('circuit.opened')).toHaveLength(1)
    expect(agent.balance()).toMatchObject({ spent: '0', held: '0' })
  })

  test('is refused where the budget is spent, and nothing is sent', async () => {
    const { dial, seen } = await openSocketService(echo, undefined, {}, { cost_per_call_usd: '100' })
    const [, response] = (await once(await dial(), 'unexpected-response')) as [unknown, IncomingMessage]
    expect(response.statusCode).toBe(402)
    expect(seen).toEqual([])
  })

  test.each([
    ['/..%2f..%2fadmin', {}, 400],
    ['/stream', { host: 'evil.example' }, 421],
  ])('with the path %s and the headers %o is refused', async (path, headers, status) => {
    const { dial, seen } = await openSocketService()
    const [, response] = (await once(await dial(path, [], headers), 'unexpected-response')) as [
      unknown,
      IncomingMessage,
    ]
    expect(response.statusCode).toBe(status)
    expect(seen).toEqual([])
  })

  test('ends with the run, at the service too', async () => {
    const { dial, cage, agent, clients } = await openSocketService()
    const client = await dial()
    await once(client, 'open')
    const [service] = clients
    const ended = Promise.all([once(client, 'close'), once(service!, 'close')])
    const data = {
      run_id: agent.runId,
      exit_code: 0,
      signal: null,
      state: 'completed',
      reason: 'exit',
      restart_in_ms: null,
    } as const
    cage.runtime.state.record({
      type: 'agent.exited',
      level: 'OK',
      agent_id: agent.id,
      message: 'worker completed',
      data,
    })
    await ended
  })

  test.each(['client', 'service'] as const)('ends on both sides when the %s is cut', async (side) => {
    const { dial, clients } = await openSocketService()
    const client = await dial()
    await once(client, 'open')
    const [service] = clients
    const ended = Promise.all([once(client, 'close'), once(service!, 'close')])
    ;(side === 'client' ? client : service!).terminate()
    await ended
  })

  test('closes for a message without end', { timeout: 20_000 }, async () => {
    const { dial } = await openSocketService()
    const client = await dial()
    await once(client, 'open')
    client.send(Buffer.alloc(17 * 1024 * 1024))
    expect((await once(client, 'close'))[0]).toBe(1009)
  })

  test('holds its sender back while its reader is slow', { timeout: 20_000 }, async () => {
    const { dial, clients } = await openSocketService((socket) => {
      const message = Buffer.alloc(1_000_000)
      for (let n = 0; n < 100; n++) socket.send(message)
    })
    const client = await dial()
    await once(client, 'open')
    client.pause()
    const [service] = clients
    for (let last = -1; last !== service!.bufferedAmount; ) {
      last = service!.bufferedAmount
      await new Promise((resolve) => setTimeout(resolve, 400))
    }
    expect(service!.bufferedAmount).toBeGreaterThan(40_000_000)
    let count = 0
    const all = new Promise<void>((resolve) => client.on('message', () => ++count === 100 && resolve()))
    client.resume()
    await all
  })
})

test('a WebSocket to a provider is answered over HTTP', async () => {
  const { cage } = await openSocketService()
  const { host } = new URL(cage.provider.url)
  const { socket } = await tunnel(cage, host, by(cage.addAgent(egress())))
  const headers = {
    host,
    connection: 'upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'x',
  }
  expect((await ask(socket, '/v1/realtime', headers)).status).toBe(426)
})
