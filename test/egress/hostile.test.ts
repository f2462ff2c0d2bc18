/** Attacks on the way out of agents. After each of them the server answers as before. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as connectTls } from 'node:tls'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { configSchema } from '../../src/config/schema.ts'
import { processStarted } from '../../src/core/process-table.ts'
import { openParts } from '../support/built.ts'
import { folderInMemory } from '../support/in-memory.ts'
import type { TestRuntime } from '../support/runtime.ts'
import { ask, by, egress, encrypt, open, openPlain, openServer, reach, tunnel } from './support.ts'

const SERVICE = 'api.linkedin.com:443'

async function expectHealthy(cage: TestRuntime) {
  expect((await cage.get('/api/health')).json()).toMatchObject({ status: 'ok' })
}

/** Any bytes, and bytes that begin as TLS or HTTP do. */
const hostileBytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 600 }),
  fc
    .uint8Array({ maxLength: 300 })
    .map((bytes) => Buffer.concat([Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196]), bytes])),
  fc
    .string({ maxLength: 200 })
    .map((rest) => Buffer.from(`GET / HTTP/1.1\r\nhost: api.linkedin.com\r\n${rest}\r\n\r\n`)),
  fc.string({ maxLength: 200 }).map((rest) => Buffer.from(`POST /${rest}`)),
)

/** Sends bytes and cuts the connection in one of several ways, once it was answered or at once. */
async function attack(socket: Socket, bytes: Uint8Array, how: number, connection = socket): Promise<void> {
  socket.on('error', () => {})
  if (how % 4 === 0) socket.end(bytes)
  else socket.write(bytes)
  if (how % 4 === 1) connection.resetAndDestroy()
  else if (how % 4 === 2) socket.destroy()
  else if (how % 4 === 3) socket.end()
  if (!socket.destroyed) await text(socket).catch(() => '')
  socket.destroy()
}

test.each([
  ['a service', SERVICE],
  ['a listed server', undefined],
])('a thousand hostile beginnings of tunnels to %s end no more than those', { timeout: 60_000 }, async (_, named) => {
  const { cage } = await open()
  const target = named ?? `127.0.0.1:${await openPlain()}`
  const agent = cage.addAgent(egress([], [target]))
  const all = fc.sample(hostileBytes, 500)
  const inTurns = all.map((bytes, at) => [bytes, at] as const)
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let next = inTurns.pop(); next; next = inTurns.pop()) {
        const { socket } = await tunnel(cage, target, by(agent))
        await attack(socket, ...next)
      }
    }),
  )
  await expectHealthy(cage)
  expect(agent.balance()).toMatchObject({ held: '0' })
})

test('a thousand hostile requests inside ended TLS cost nothing', { timeout: 60_000 }, async () => {
  const { cage, echo } = await open()
  const agent = cage.addAgent(egress())
  const all = fc.sample(hostileBytes, 500).map((bytes, at) => [bytes, at] as const)
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      for (let next = all.pop(); next; next = all.pop()) {
        const { socket } = await tunnel(cage, SERVICE, by(agent))
        const tls = connectTls({ socket, servername: 'api.linkedin.com', rejectUnauthorized: false })
        tls.on('error', () => {})
        await Promise.race([once(tls, 'secureConnect'), once(tls, 'close')])
        await attack(tls, ...next, socket)
        socket.destroy()
      }
    }),
  )
  await expectHealthy(cage)
  expect(agent.balance().held).toBe('0')
  expect(Number(agent.balance().spent)).toBeLessThanOrEqual(echo.seen.length / 10)
})

describe('a client that leaves', () => {
  test.each([0, 1, 5, 20, 60])('after %i ms is forgotten with its connections', async (ms) => {
    const { cage } = await open()
    let connected = 0
    const target = `127.0.0.1:${await openServer((socket) => {
      connected += 1
      socket.resume().on('end', () => socket.end())
      socket.on('close', () => {
        connected -= 1
      })
    })}`
    const agent = cage.addAgent(egress([], [target]))
    const token = Buffer.from(by(agent)).toString('base64')
    for (const goal of [target, SERVICE, 'unlisted.example:443']) {
      for (let n = 0; n < 20; n++) {
        const socket = reach(cage)
        socket.write(`CONNECT ${goal} HTTP/1.1\r\nHost: ${goal}\r\nProxy-Authorization: Basic ${token}\r\n\r\n`)
        setTimeout(() => (n % 2 ? socket.destroy() : socket.resetAndDestroy()), ms)
      }
    }
    await expect.poll(() => connected, { timeout: 3_000 }).toBe(0)
    // Its 256 places are free again.
    const openAll = async () => {
      const again = await Promise.all(Array.from({ length: 256 }, () => tunnel(cage, target, by(agent))))
      for (const { socket } of again) socket.destroy()
      return [...new Set(again.map(({ status }) => status))]
    }
    await expect.poll(openAll, { timeout: 5_000, interval: 200 }).toEqual([200])
  })
})

test('a client that leaves while its tunnel is dialed leaves no connection behind', async () => {
  const asked = Promise.withResolvers<Socket>()
  const proxy = await openServer((socket) => void socket.once('data', () => asked.resolve(socket)))
  const { cage } = await open({ network: { https_proxy: `http://127.0.0.1:${proxy}` } })
  const socket = reach(cage)
  const token = Buffer.from(by(cage.addAgent(egress(['slow.example:8443'])))).toString('base64')
  socket.write(`CONNECT slow.example:8443 HTTP/1.1\r\nProxy-Authorization: Basic ${token}\r\n\r\n`)
  const dialed = await asked.promise
  socket.resetAndDestroy()
  await once(socket, 'close')
  // Another answer shows that the server has seen it.
  await expectHealthy(cage)
  const closed = once(dialed.resume(), 'end')
  dialed.write('HTTP/1.1 200 OK\r\n\r\n')
  await closed
})

describe('inside a connection to a service', () => {
  test('no further CONNECT is answered', async () => {
    const { cage, echo } = await open()
    const { socket } = await tunnel(cage, SERVICE, by(cage.addAgent(egress())))
    const tls = await encrypt(cage, socket, 'api.linkedin.com')
    tls.write(`CONNECT evil.example:443 HTTP/1.1\r\nHost: ${SERVICE}\r\n\r\n`)
    expect(await text(tls)).not.toContain('200')
    expect(echo.seen).toEqual([])
  })

  test.each([
    ['two hosts', 'GET / HTTP/1.1\r\nHost: api.linkedin.com\r\nHost: evil.example\r\n\r\n'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two lengths', 'POST / HTTP/1.1\r\nHost: api.linkedin.com\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a bare line feed', 'GET / HTTP/1.1\nHost: api.linkedin.com\n\n'],
    ['a space before the colon', 'GET / HTTP/1.1\r\nHost : api.linkedin.com\r\n\r\n'],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ])('a request with %s is refused', async (_, bytes) => {
    const { cage, echo } = await open()
    const { socket } = await tunnel(cage, SERVICE, by(cage.addAgent(egress())))
    const tls = await encrypt(cage, socket, 'api.linkedin.com')
    tls.write(bytes)
    expect(await text(tls)).toMatch(/^HTTP\/1\.1 4\d\d /)
    expect(echo.seen).toEqual([])
  })

  test('a client of HTTP/2 alone is refused with a record of why', async () => {
    const { cage } = await open()
    const { socket } = await tunnel(cage, SERVICE, by(cage.addAgent(egress())))
    const tls = connectTls({ socket, servername: 'api.linkedin.com', rejectUnauthorized: false, ALPNProtocols: ['h2'] })
    await once(tls, 'error')
    expect((await cage.event('egress.denied')).data).toMatchObject({ reason: 'egress_protocol' })
  })
})

/** Only root may listen on this port everywhere. */
describe.skipIf(process.getuid?.() !== 0)('the bytes of a tunnel to port 443', () => {
  test.each([
    ['another server name', (socket: Socket) => connectTls({ socket, servername: 'evil.example' })],
    [
      'a server name where an address was asked for',
      (socket: Socket) => connectTls({ socket, servername: 'localhost' }),
    ],
    ['no TLS', (socket: Socket) => socket.end('GET / HTTP/1.1\r\n\r\n')],
  ])('are refused with %s', async (_, begin) => {
    const { refused, isUsed, cage, target } = await openTls()
    const { socket, status } = await tunnel(cage, target, refused)
    expect(status).toBe(200)
    begin(socket).on('error', () => {})
    await once(socket, 'close')
    expect((await cage.event('egress.denied')).data).toMatchObject({ reason: 'egress_host_mismatch' })
    expect(isUsed()).toBe(false)
  })
})

/** A listed server at an address of this machine, on the port of TLS. */
async function openTls() {
  const host = '127.0.0.77'
  let bytes = 0
  const server = createServer((socket) => socket.on('error', () => {}).on('data', ({ length }) => (bytes += length)))
  server.listen(443, host)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { cage } = await open()
  const target = `${host}:443`
  return { cage, target, refused: by(cage.addAgent(egress([], [target]))), isUsed: () => bytes > 0 }
}

describe('a stolen token', () => {
  test('is useless to a program that is none of the run', async () => {
    const { cage } = await open()
    const agent = cage.addAgent(egress())
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore', detached: true })
    onTestFinished(() => void child.kill('SIGKILL'))
    const own = { agentId: agent.id, pid: child.pid!, started: await processStarted(child.pid!) }
    cage.runtime.runTokens.bind(agent.runId, own)
    for (const credentials of [by(agent), `run:${agent.runId}`]) {
      const { status, reason } = await tunnel(cage, SERVICE, credentials)
      expect([status, reason]).toEqual([401, 'foreign_process'])
    }
    expect((await tunnel(cage, SERVICE, null)).status).toBe(407)
  })
})

test('a run names fifty new hosts a second at most', async () => {
  const { cage } = await open()
  const agent = cage.addAgent(egress())
  const statuses = await Promise.all(
    Array.from({ length: 80 }, (_, n) => tunnel(cage, `h${n}.example:443`, by(agent)).then(({ status }) => status)),
  )
  expect(statuses.filter((status) => status === 403).length).toBeGreaterThanOrEqual(50)
  expect(statuses.filter((status) => status === 503).length).toBeGreaterThan(0)
})

test.each(['*.co.uk', '*.com.au'])('a server does not start with the wildcard %s in its list', async (entry) => {
  const folder = folderInMemory()
  const config = configSchema.parse({ agent: { egress: { allow: [entry] } }, db: { path: `${folder}/state.db` } })
  const opening = openParts({ config, configFile: null, environment: {}, version: '0.0.0-test', masterKey: undefined })
  await expect(opening).rejects.toMatchObject({ code: 'invalid_config', facts: { value: entry } })
})

describe('plain HTTP in absolute form', () => {
  const forward = async (cage: TestRuntime, credentials: string, url: string, headers: Record<string, string>) => {
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`
    return ask(reach(cage), url, { ...headers, 'proxy-authorization': authorization })
  }

  test('is sent on as it was written, without what is for the proxy', async () => {
    const { cage, echo } = await open()
    const host = `127.0.0.1:${echo.port}`
    // As the host of no service.
    const { cage: other } = await open()
    const agent = other.addAgent(egress([], [host]))
    const answer = await forward(other, by(agent), `http://${host}/a/../b?c=%7e|d`, { host })
    expect(JSON.parse(answer.text)).toMatchObject({ url: '/a/../b?c=%7e|d' })
    expect(echo.seen[0]!.headers).not.toHaveProperty('proxy-authorization')
    await expectHealthy(cage)
  })

  test('is cut where the answer is cut', async () => {
    const { cage } = await open()
    const host = `127.0.0.1:${await openServer((socket) =>
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf')),
    )}`
    await expect(forward(cage, by(cage.addAgent(egress([], [host]))), `http://${host}/`, { host })).rejects.toThrow()
    await expectHealthy(cage)
  })

  test.each(['http://user@unlisted.example/', 'http://evil%00.example/', 'ftp://unlisted.example/', 'http:///x'])(
    'with the address %s is a bad request',
    async (url) => {
      const { cage } = await open()
      expect((await forward(cage, by(cage.addAgent(egress())), url, { host: 'unlisted.example' })).status).toBe(400)
    },
  )
})
