/** Who is let in: the name a request gives this server, and the page it comes from. On every way in. */
import { connect } from 'node:net'
import { describe, expect, test } from 'vitest'
import { openTestRuntime, send, type TestRuntime } from '../support/runtime.ts'

const WAYS = ['a route', 'the gateway', 'the dashboard', 'the upgrade'] as const
type Way = (typeof WAYS)[number]

/** Speaks HTTP by hand, so that any header can be sent; returns the status. */
async function ask(cage: TestRuntime, way: Way, headers: readonly string[]): Promise<number> {
  const agent = cage.addAgent()
  const paths: Record<Way, () => Promise<string>> = {
    'a route': async () => 'GET /api/health',
    'the gateway': async () => `HEAD /gateway/${agent.token}/anthropic/`,
    'the dashboard': async () => 'GET /',
    'the upgrade': async () => {
      const { access_token } = await cage.login()
      const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, access_token)).json()
      return `GET /ws?ticket=${ticket}`
    },
  }
  const upgrade = [
    'connection: Upgrade',
    'upgrade: websocket',
    'sec-websocket-version: 13',
    'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==',
  ]
  const lines = [
    `${await paths[way]()} HTTP/1.1`,
    ...(way === 'the upgrade' ? upgrade : ['connection: close']),
    ...headers,
  ]
  const socket = connect(Number(new URL(cage.url).port), '127.0.0.1')
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.once('data', (data) => {
      socket.destroy()
      resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(String(data))?.[1]))
    })
    socket.write(`${lines.join('\r\n')}\r\n\r\n`)
  })
}

const good: Record<Way, number> = { 'a route': 200, 'the gateway': 200, 'the dashboard': 200, 'the upgrade': 101 }

const REFUSED_HOSTS = [
  'evil.com',
  'evil.com:<port>',
  'localhost.evil.com:<port>',
  '127.0.0.1.nip.io:<port>',
  'localhost',
  'localhost:1',
  '127.0.0.1',
  '127.0.0.1:80',
  '127.0.0.2:<port>',
  '0.0.0.0:<port>',
  '127.1:<port>',
  '2130706433:<port>',
  '0x7f000001:<port>',
  '[::]:<port>',
  '[::1]',
  '[::ffff:127.0.0.1]:<port>',
  'localhost.:<port>',
  'localhost:<port>:<port>',
  'localhost:0<port>',
  'user@localhost:<port>',
  'localhost:<port>@evil.com',
  'localhost:<port>, evil.com',
  'localhost:<port>/evil',
  'localhost:<port>#',
  'localhost%00:<port>',
  'ｌocalhost:<port>',
]

const REFUSED_ORIGINS = [
  'null',
  '',
  'http://evil.com',
  'http://evil.com:<port>',
  'https://localhost:<port>',
  'http://localhost',
  'http://localhost:1',
  'http://localhost.evil.com:<port>',
  'http://localhost:<port>.evil.com',
  'http://127.0.0.1.nip.io:<port>',
  'http://evil.com@localhost:<port>',
  'http://localhost:<port>/',
  'http://evil.com, http://localhost:<port>',
  'file://',
  'chrome-extension://abcdef',
  'http://[::]:<port>',
]

describe.each(WAYS)('by way of %s', (way) => {
  test('every other name of a host is refused, and told', async () => {
    const cage = await openTestRuntime()
    const { port, host } = new URL(cage.url)
    expect(await ask(cage, way, [`host: ${host}`])).toBe(good[way])
    const entered: string[] = []
    for (const name of REFUSED_HOSTS) {
      const status = await ask(cage, way, [`host: ${name.replaceAll('<port>', port)}`])
      if (status !== 403) entered.push(`${name}: ${status}`)
    }
    expect(entered).toEqual([])
    if (way !== 'the upgrade') expect(cage.of('auth.failed')).toHaveLength(REFUSED_HOSTS.length)
    expect(JSON.stringify(cage.of('auth.failed'))).not.toMatch(/run_\w/)
  })

  test('no name, and two names, are refused', async () => {
    const cage = await openTestRuntime()
    const { host } = new URL(cage.url)
    expect(await ask(cage, way, [])).toBeGreaterThanOrEqual(400)
    expect(await ask(cage, way, ['host: evil.com', `host: ${host}`])).toBeGreaterThanOrEqual(400)
  })

  test('every other origin is refused', async () => {
    const cage = await openTestRuntime()
    const { port, host } = new URL(cage.url)
    const entered: string[] = []
    for (const origin of REFUSED_ORIGINS) {
      const status = await ask(cage, way, [`host: ${host}`, `origin: ${origin.replaceAll('<port>', port)}`])
      if (status !== 403) entered.push(`${origin}: ${status}`)
    }
    for (const mode of ['cors', 'no-cors', 'websocket', 'same-origin']) {
      const status = await ask(cage, way, [`host: ${host}`, 'sec-fetch-site: cross-site', `sec-fetch-mode: ${mode}`])
      if (status !== 403) entered.push(`cross-site ${mode}: ${status}`)
    }
    expect(entered).toEqual([])
  })

  test('its own names and origins, and those of the configuration, are let in', async () => {
    const cage = await openTestRuntime({
      server: { allowed_hosts: ['Cage.internal:9000'], cors_origins: ['https://ok.example'] },
    })
    const { port, host } = new URL(cage.url)
    const refused: string[] = []
    for (const headers of [
      [`host: localhost:${port}`],
      [`host: LocalHost:${port}`],
      [`host: [::1]:${port}`],
      ['host: cage.internal:9000'],
      [`host: ${host}`, `origin: http://localhost:${port}`],
      [`host: ${host}`, `origin: http://127.0.0.1:${port}`],
      [`host: ${host}`, 'origin: https://ok.example'],
      [`host: ${host}`, 'sec-fetch-site: same-origin', 'sec-fetch-mode: cors'],
      // A link on another site to the dashboard.
      [`host: ${host}`, 'sec-fetch-site: cross-site', 'sec-fetch-mode: navigate'],
    ]) {
      const status = await ask(cage, way, headers)
      if (status !== good[way]) refused.push(`${headers}: ${status}`)
    }
    expect(refused).toEqual([])
  })
})

test('refusals are told without tokens, and so many a minute: a page can cause thousands', async () => {
  let ahead = 0
  const clock = { now: () => Date.now(), monotonic: () => 1_000_000 + ahead }
  const cage = await openTestRuntime({ clock })
  const agent = cage.addAgent()
  const refuse = (path: string) => send(cage.url + path, { method: 'GET', headers: { origin: 'http://evil.com' } })
  for (const path of [
    `/gateway/${agent.token}/openai/v1/models`,
    `//gateway/${agent.token}/x`,
    `/x?token=${agent.token}`,
  ]) {
    expect((await refuse(path)).status).toBe(403)
  }
  expect(cage.of('auth.failed').map(({ data }) => data)).toEqual([
    { reason: 'origin_refused', route: 'GET /gateway/run_…/openai/v1/models' },
    { reason: 'origin_refused', route: 'GET //gateway/run_…/x' },
    { reason: 'origin_refused', route: 'GET /x' },
  ])
  const replies = await Promise.all(Array.from({ length: 200 }, () => refuse('/')))
  expect(replies.every(({ status }) => status === 403)).toBe(true)
  expect(cage.of('auth.failed')).toHaveLength(60)
  ahead += 60_000
  await refuse('/')
  expect(cage.of('auth.failed')).toHaveLength(61)
})

test('an upgrade without a ticket, with a used one, or to another path is refused', async () => {
  const cage = await openTestRuntime()
  const { host } = new URL(cage.url)
  const { access_token } = await cage.login()
  const { ticket } = (await cage.post('/api/auth/ws-ticket', {}, access_token)).json()
  const upgrade = async (path: string) => {
    const socket = connect(Number(new URL(cage.url).port), '127.0.0.1')
    socket.write(
      `GET ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
    )
    const answer = await new Promise<string>((resolve) => socket.once('data', (data) => resolve(String(data))))
    socket.destroy()
    return Number(answer.split(' ')[1])
  }
  expect(await upgrade('/ws')).toBe(401)
  expect(await upgrade('/ws?ticket=ticket_made_up')).toBe(401)
  expect(await upgrade(`/api/snapshot?ticket=${ticket}`)).toBe(401)
  expect(await upgrade(`/ws?ticket=${access_token}`)).toBe(401)
  expect(await upgrade(`/ws?ticket=${ticket}`)).toBe(101)
  expect(await upgrade(`/ws?ticket=${ticket}`)).toBe(401)
})
