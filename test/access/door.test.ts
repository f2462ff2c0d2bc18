/** Who is let in: the name a request gives this server, and the page it comes from. On every way in. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Users } from '../../src/access/users.ts'
import { systemClock } from '../../src/core/clock.ts'
import { openStore } from '../../src/db/store.ts'
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
  test('every other host name is refused and reported', async () => {
    const cage = await openTestRuntime()
    const { port, host } = new URL(cage.url)
    expect(await ask(cage, way, [`host: ${host}`])).toBe(good[way])
    const entered: string[] = []
    for (const name of REFUSED_HOSTS) {
      const status = await ask(cage, way, [`host: ${name.replaceAll('<port>', port)}`])
      if (status !== 403) entered.push(`${name}: ${status}`)
    }
    expect(entered).toEqual([])
    expect(cage.of('auth.failed')).toHaveLength(REFUSED_HOSTS.length)
    expect(JSON.stringify(cage.of('auth.failed'))).not.toMatch(/(run|ticket)_\w/)
  })

  test('a missing Host header and two of them are refused', async () => {
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
    // "same-site" is a page on another port of this machine.
    for (const site of ['cross-site', 'same-site', 'made-up']) {
      for (const mode of ['cors', 'no-cors', 'websocket', 'same-origin']) {
        const status = await ask(cage, way, [`host: ${host}`, `sec-fetch-site: ${site}`, `sec-fetch-mode: ${mode}`])
        if (status !== 403) entered.push(`${site} ${mode}: ${status}`)
      }
      // A page elsewhere may link to the dashboard, and show it in no frame; it may not lead anybody to anything else.
      const navigate = [`host: ${host}`, `sec-fetch-site: ${site}`, 'sec-fetch-mode: navigate']
      const linked = await ask(cage, way, [...navigate, 'sec-fetch-dest: document'])
      if (linked !== (way === 'the dashboard' ? 200 : 403)) entered.push(`${site} link: ${linked}`)
      const framed = await ask(cage, way, [...navigate, 'sec-fetch-dest: iframe'])
      if (framed !== 403) entered.push(`${site} frame: ${framed}`)
    }
    expect(entered).toEqual([])
  })

  test('its own names and origins and the configured ones are accepted', async () => {
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
      [`host: ${host}`, 'origin: https://ok.example', 'sec-fetch-site: cross-site', 'sec-fetch-mode: cors'],
      [`host: ${host}`, 'sec-fetch-site: none', 'sec-fetch-mode: navigate'],
    ]) {
      const status = await ask(cage, way, headers)
      if (status !== good[way]) refused.push(`${headers}: ${status}`)
    }
    expect(refused).toEqual([])
  })
})

test('a page of another site can link to the pages of the dashboard only, however it writes the path', async () => {
  const cage = await openTestRuntime()
  const headers = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' }
  const statusOf = (path: string) =>
    new Promise<number | undefined>((done, failed) =>
      // As it is: other clients would write the path anew.
      httpRequest({ host: '127.0.0.1', port: new URL(cage.url).port, path, headers }, (reply) =>
        done(reply.resume().statusCode),
      )
        .on('error', failed)
        .end(),
    )
  for (const path of ['/', '/?x=1', '/index.html', '/reports/lg-7a3f9c2d', '/shared'])
    expect([path, await statusOf(path)]).toEqual([path, 200])
  const elsewhere = [
    '/api/health',
    '/./api/health',
    '/x/../api/health',
    '/%61pi/health',
    '//api/health',
    '/metrics',
    '/secrets',
    '/api/shared-report',
  ]
  for (const path of elsewhere) expect([path, await statusOf(path)]).toEqual([path, 403])
})

test('refusals are recorded without tokens, and only so many a minute: a page can cause thousands', async () => {
  let ahead = 0
  const clock = { ...systemClock, monotonic: () => 1_000_000 + ahead }
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

test('only a page of a listed origin may send requests and read replies, preflight included', async () => {
  const cage = await openTestRuntime({ server: { cors_origins: ['https://ok.example'] } })
  const { access_token } = await cage.login()
  const page = { origin: 'https://ok.example', 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'cors' }
  const question = await send(`${cage.url}/api/snapshot`, {
    method: 'OPTIONS',
    headers: {
      ...page,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'authorization,content-type',
    },
  })
  expect([question.status, question.text]).toEqual([204, ''])
  expect(question.headers).toMatchObject({
    'access-control-allow-origin': 'https://ok.example',
    'access-control-allow-headers': 'authorization,content-type',
    'access-control-allow-methods': expect.stringContaining('PATCH'),
    vary: 'origin',
  })
  // Tokens are sent explicitly; credentials that a browser adds by itself are not accepted.
  expect(question.headers).not.toHaveProperty('access-control-allow-credentials')
  const answer = await send(`${cage.url}/api/snapshot`, {
    method: 'GET',
    headers: { ...page, authorization: `Bearer ${access_token}` },
  })
  expect(answer.status).toBe(200)
  expect(answer.headers).toMatchObject({ 'access-control-allow-origin': 'https://ok.example' })
  const agent = cage.addAgent()
  const call = await agent.chat({}, page)
  expect([call.status, call.headers['access-control-allow-origin']]).toEqual([200, 'https://ok.example'])

  for (const origin of ['https://OK.example.evil.com', 'https://ok.example:444', 'http://ok.example']) {
    const refused = await send(`${cage.url}/api/snapshot`, {
      method: 'OPTIONS',
      headers: { ...page, origin, 'access-control-request-method': 'GET' },
    })
    expect([refused.status, refused.headers['access-control-allow-origin']]).toEqual([403, undefined])
  }
  const own = await cage.get('/api/health')
  expect(own.headers).not.toHaveProperty('access-control-allow-origin')
})

test('a cookie identifies no one, and no cookie is ever set', async () => {
  const cage = await openTestRuntime()
  const { access_token } = await cage.login()
  for (const cookie of [`token=${access_token}`, `authorization=Bearer ${access_token}`, `session=${access_token}`]) {
    const { status, headers } = await send(`${cage.url}/api/snapshot`, { method: 'GET', headers: { cookie } })
    expect([status, headers['set-cookie']]).toEqual([401, undefined])
  }
  const { headers } = await cage.get('/api/snapshot', access_token)
  expect(headers).not.toHaveProperty('set-cookie')
})

describe('an address that other machines reach', () => {
  const addUser = (folder: string) => {
    const store = openStore({ path: join(folder, 'state.db') })
    const users = new Users({ store, clock: systemClock })
    return users.add({ username: 'alice', role: 'admin', password: 'correct horse' }).then(() => store.close())
  }
  const folderFor = () => {
    const folder = mkdtempSync(join(tmpdir(), 'iron-cage-door-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  test.each(['0.0.0.0', '::', '192.0.2.1', 'cage.example'])(
    'an address that other machines reach (%s) needs a word of the operator and a user',
    async (host) => {
      const folder = folderFor()
      const open = (server: object) => openTestRuntime({ folder, server: { host, ...server } })
      const both = { code: 'invalid_config', message: expect.stringMatching(/allow_remote.*--allow-remote.*users add/) }
      await expect(open({})).rejects.toMatchObject(both)
      const word = { code: 'invalid_config', message: expect.not.stringContaining('allow_remote') }
      await expect(open({ allow_remote: true })).rejects.toMatchObject(word)
      await addUser(folder)
      const user = { code: 'invalid_config', message: expect.not.stringContaining('users add') }
      await expect(open({})).rejects.toMatchObject(user)
    },
  )

  test('an address that other machines reach is open with both, and answers to its listed names and to this machine only', async () => {
    const folder = folderFor()
    await addUser(folder)
    const cage = await openTestRuntime({
      folder,
      server: { host: '0.0.0.0', allow_remote: true, allowed_hosts: ['cage.example:8080'] },
    })
    const { port } = new URL(cage.url)
    for (const [host, status] of [
      ['cage.example:8080', 200],
      [`localhost:${port}`, 200],
      [`0.0.0.0:${port}`, 403],
      ['evil.com', 403],
    ] as const) {
      expect([host, await ask(cage, 'a route', [`host: ${host}`])]).toEqual([host, status])
    }
  })

  test.each(['127.0.0.1', 'localhost', '::1', '127.0.0.2'])(
    'an address that other machines reach is not %s',
    async (host) => {
      const cage = await openTestRuntime({ server: { host } })
      const { port } = new URL(cage.url)
      for (const address of ['127.0.0.1', '[::1]']) {
        const reply = await send(`http://${address}:${port}/api/health`, { method: 'GET' })
        expect([address, reply.status]).toEqual([address, 200])
      }
    },
  )
})
