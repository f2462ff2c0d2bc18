/** What a tunnel carries, and how it ends, beside a bare connection. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { relay, requireServerName } from '../../src/egress/tunnel.ts'
import { TestClock } from '../support/clock.ts'
import { by, egress, open, openPlain, openServer, tunnel } from './support.ts'

/** Both ends of a connection. */
async function pair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const [far] = (await once(server, 'connection')) as [Socket]
  onTestFinished(() => {
    near.destroy()
    far.destroy()
    server.close()
  })
  for (const socket of [near, far]) socket.on('error', () => {})
  return [near, far]
}

async function openRelay() {
  const clock = new TestClock()
  const [client, inner] = await pair()
  const [outer, server] = await pair()
  const closed = Promise.all([inner, outer].map((socket) => new Promise((resolve) => socket.on('close', resolve))))
  relay(inner, outer, clock)
  return { clock, client, server, inner, outer, closed }
}

describe('a tunnel', () => {
  test('carries an answer to a client that has ended its side', async () => {
    const { client, server, closed } = await openRelay()
    client.end('question')
    expect(await text(server)).toBe('question')
    server.end('answer')
    expect(await text(client)).toBe('answer')
    await closed
  })

  test('carries a request to a server that has ended its side', async () => {
    const { client, server, closed } = await openRelay()
    server.end('greeting')
    expect(await text(client)).toBe('greeting')
    client.end('late')
    expect(await text(server)).toBe('late')
    await closed
  })

  test.each(['client', 'server'] as const)('ends on both sides when the %s is cut', async (side) => {
    const { closed, ...sockets } = await openRelay()
    const other = sockets[side === 'client' ? 'server' : 'client'].resume()
    const left = once(other, 'close')
    sockets[side].resetAndDestroy()
    other.end()
    await Promise.all([closed, left])
  })

  test('ends on both sides when this server closes its client, though that has ended its side', async () => {
    const { client, server, inner, outer, closed } = await openRelay()
    client.end('x')
    await text(server)
    inner.destroy()
    await closed
    expect(outer.destroyed).toBe(true)
  })

  test('ends once no byte has passed for ten minutes, and not before', async () => {
    const { clock, client, server, inner, closed } = await openRelay()
    client.write('x')
    await once(server, 'data')
    clock.advance(600_000)
    server.write('y')
    await once(client, 'data')
    clock.advance(600_000)
    expect(inner.destroyed).toBe(false)
    clock.advance(600_000)
    await closed
    expect(clock.timers).toBe(0)
  })

  test('waits for a slow reader', async () => {
    const { client, server } = await openRelay()
    const piece = Buffer.alloc(1_000_000)
    for (let n = 0; n < 50; n++) server.write(piece)
    server.end()
    await once(client, 'readable')
    await setTimeout(100)
    // What the kernel and four streams hold.
    expect(server.writableLength).toBeGreaterThan(30_000_000)
    expect((await buffer(client)).length).toBe(50_000_000)
  })
})

describe('the first message through a tunnel', () => {
  const to = { host: 'api.github.com', port: 443 }

  test.each([
    ['ends its side', (client: Socket) => void client.end('\x16\x03')],
    ['hangs up', (client: Socket) => void client.destroy()],
    ['speaks no TLS', (client: Socket) => void client.write('GET / HTTP/1.1\r\n\r\n')],
  ])('of a client that %s is refused at once', async (_, act) => {
    const [client, inner] = await pair()
    const checked = requireServerName(inner, to, new TestClock())
    act(client)
    await expect(checked).rejects.toMatchObject({ code: 'egress_host_mismatch' })
  })

  test('of a client that says nothing is refused after 30 seconds', async () => {
    const clock = new TestClock()
    const [, inner] = await pair()
    const checked = requireServerName(inner, to, clock)
    clock.advance(30_000)
    await expect(checked).rejects.toMatchObject({ code: 'egress_host_mismatch' })
  })
})

describe('a listed host', () => {
  test('that greets first and ends its side still reads what the client sends', async () => {
    const got = Promise.withResolvers<string>()
    const target = `127.0.0.1:${await openServer((socket) => {
      socket.end('220 hello\r\n')
      got.resolve(text(socket))
    })}`
    const { cage } = await open()
    const { socket } = await tunnel(cage, target, by(cage.addAgent(egress([], [target]))))
    socket.allowHalfOpen = true
    expect(await text(socket)).toBe('220 hello\r\n')
    socket.end('QUIT\r\n')
    expect(await got.promise).toBe('QUIT\r\n')
  })

  test('that resets its connections at any time ends no more than the tunnel', async () => {
    const { cage } = await open()
    const plain = `127.0.0.1:${await openServer((socket) => void socket.once('data', () => socket.resetAndDestroy()))}`
    const agent = cage.addAgent(egress([], [plain]))
    const { socket } = await tunnel(cage, plain, by(agent))
    socket.write('x')
    await once(socket.resume(), 'end')
    expect((await cage.get('/api/health')).status).toBe(200)
  })

  test('carries what the client sent together with CONNECT', async () => {
    const { cage } = await open()
    const target = `127.0.0.1:${await openPlain()}`
    const { socket } = await tunnel(cage, target, by(cage.addAgent(egress([], [target]))), 'early')
    socket.end('late')
    expect(await text(socket)).toBe('earlylate')
  })
})
