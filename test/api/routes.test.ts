/** Every route of the router, and who may use it. The list is the router's own, so a new route is in it. */

import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { pathsOf } from '../../src/http/route.ts'
import { listRoutes } from '../support/deps.ts'
import { openTestRuntime, type Reply, send, type TestRuntime } from '../support/runtime.ts'

const routes = await listRoutes()

interface Route {
  method: string
  path: string
}

const ROUTES: Route[] = routes.flatMap((route) => pathsOf(route).map((path) => ({ method: route.method, path })))
const isLogout = ({ path }: Route) => path.endsWith('/logout')

/** Who may use a route: no proof of identity, any proof, a role, an agent that we run, or both. */
type Need = 'nothing' | 'any' | 'viewer' | 'admin' | 'agent' | 'run' | 'viewer or run'

const OPEN = [
  'GET /api/shared-report',
  'GET /api/health',
  'GET /api/version',
  'GET /api/schemas',
  'GET /api/schemas/:name',
  'POST /api/auth/exchange',
  'POST /api/auth/login',
  'POST /api/auth/refresh',
]
/** Where collectors of OpenTelemetry listen. */
const OF_COLLECTORS = ['/v1/traces']
/** The handler looks closer. */
const ANY = ['GET /api/auth/me']
const RUN = ['GET /api/run/secrets']
/** People see names, an agent that we run the values that are its own. */
const VIEWER_OR_RUN = ['', '/api'].flatMap((path) => [`GET ${path}/secrets`, `GET ${path}/secrets/:id`])
/** A viewer may change its own session only; trying the redaction changes nothing. */
const VIEWERS_OWN = ['POST /api/auth/logout', 'POST /api/auth/tab', 'POST /api/auth/ws-ticket', 'POST /api/scan']

/** A new route that follows none of these rules must be named above. */
function needOf({ method, path }: Route): Need {
  const name = `${method} ${path}`
  if (OPEN.includes(name)) return 'nothing'
  if (ANY.includes(name)) return 'any'
  if (RUN.includes(name)) return 'run'
  if (VIEWER_OR_RUN.includes(name)) return 'viewer or run'
  if (path.startsWith('/api/run') || OF_COLLECTORS.includes(path)) return 'agent'
  if (VIEWERS_OWN.includes(name)) return 'viewer'
  return method === 'GET' && !/^\/api\/(tokens|users|audit|config)\b|\/(original|content|report\/links)$/.test(path)
    ? 'viewer'
    : 'admin'
}

const MEETS: Record<'admin' | 'viewer' | 'agent', readonly Need[]> = {
  admin: ['nothing', 'any', 'viewer', 'viewer or run', 'admin'],
  viewer: ['nothing', 'any', 'viewer', 'viewer or run'],
  agent: ['nothing', 'any', 'agent'],
}

const ask = (cage: TestRuntime, { method, path }: Route, token: string | undefined): Promise<Reply> =>
  send(cage.url + path.replaceAll(/:\w+/g, 'nothing'), {
    method: method as 'GET',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      'content-type': 'application/json',
    },
    body: method === 'GET' ? undefined : '{}',
  })

type Access = 'let in' | 'unauthorized' | 'forbidden'

/** The routes that a token opens or closes other than `expected`. */
async function surprises(cage: TestRuntime, token: string | undefined, expected: (need: Need) => Access) {
  const found: string[] = []
  const look = async (route: Route) => {
    const { status, text } = await ask(cage, route, token)
    const code = /"code":"(unauthorized|forbidden)"/.exec(text)?.[1]
    // A route with its own proof of identity refuses that proof, not this token.
    const got =
      status === 500 ? 'broken' : OPEN.includes(`${route.method} ${route.path}`) ? 'let in' : (code ?? 'let in')
    if (got !== expected(needOf(route))) found.push(`${route.method} ${route.path}: ${got} (${status})`)
  }
  // After a logout the session proves nothing any more.
  const [leaving, others] = [ROUTES.filter(isLogout), ROUTES.filter((route) => !isLogout(route))]
  await Promise.all(others.map(look))
  await Promise.all(leaving.map(look))
  return found
}

/** A token of every kind, by who has it. */
async function tokensOf(cage: TestRuntime, { expires_in_s }: { expires_in_s?: number } = {}) {
  const { access_token: operator } = await cage.login()
  const apiToken = async (role: string): Promise<string> => {
    const body = { name: `${role} of a test`, role, expires_in_s }
    return (await cage.post('/api/tokens', body, operator)).json().token as string
  }
  const person = async (role: string): Promise<string> => {
    const known = { username: `${role}-${Math.random().toString(36).slice(2)}`, password: 'correct horse battery' }
    await cage.post('/api/users', { ...known, role }, operator)
    return (await cage.post('/api/auth/login', known)).json().access_token as string
  }
  return {
    admin: { link: operator, password: await person('admin'), 'API token': await apiToken('admin') },
    viewer: { password: await person('viewer'), 'API token': await apiToken('viewer') },
    agent: { 'API token': await apiToken('agent') },
  }
}

type Tokens = Awaited<ReturnType<typeof tokensOf>>

const each = (tokens: Tokens) =>
  Object.entries(tokens).flatMap(([role, byKind]) =>
    Object.entries(byKind).map(([kind, token]) => ({ role: role as keyof Tokens, who: `${role} by ${kind}`, token })),
  )

describe('the router', () => {
  test('the router has exactly the routes that are tested here', () => {
    expect(ROUTES.length).toBeGreaterThan(40)
    const names = ROUTES.map(({ method, path }) => `${method} ${path}`)
    expect(names).toEqual(
      expect.arrayContaining([
        ...OPEN,
        ...ANY,
        ...VIEWERS_OWN,
        'GET /api/snapshot',
        'GET /api/events',
        'PATCH /api/agents/:id/budget',
        'POST /agent/:id/stop',
        'POST /api/run/charges',
        'POST /api/tokens/:id/rotate',
        'PATCH /api/users/:id',
      ]),
    )
  })

  test('the router allows every valid token exactly the routes of its role', async () => {
    const cage = await openTestRuntime()
    for (const { role, who, token } of each(await tokensOf(cage))) {
      const found = await surprises(cage, token, (need) => (MEETS[role].includes(need) ? 'let in' : 'forbidden'))
      expect(found, who).toEqual([])
    }
    const run = cage.addAgent()
    const needs = [...MEETS.agent, 'run', 'viewer or run']
    const found = await surprises(cage, run.token, (need) => (needs.includes(need) ? 'let in' : 'forbidden'))
    expect(found, 'agent by run token').toEqual([])
  })

  test('the router refuses a token that has expired, was revoked, or is of another server', async () => {
    let ahead = 0
    const clock = { ...systemClock, now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead }
    const [cage, other] = [await openTestRuntime({ clock }), await openTestRuntime()]
    const expired = await tokensOf(cage, { expires_in_s: 60 })
    ahead += 16 * 60_000
    const [run, ownRun] = [other.addAgent(), cage.addAgent()]
    cage.runtime.runTokens.revoke(ownRun.runId)
    const foreign = await tokensOf(other)
    const left = await cage.login()
    await cage.post('/api/auth/logout', {}, left.access_token)
    const stale = [
      ...each(expired).map(({ who, token }) => ({ who: `${who}, expired`, token })),
      ...each(foreign).map(({ who, token }) => ({ who: `${who}, of another server`, token })),
      { who: 'a run of another server', token: run.token },
      { who: 'a run that has ended', token: ownRun.token },
      { who: 'a session that was left', token: left.access_token },
      { who: 'nobody', token: undefined },
    ]
    const refused = () => cage.of('auth.failed').reduce((sum, { data }) => sum + (data.count ?? 1), 0)
    const before = refused()
    for (const { who, token } of stale) {
      const found = await surprises(cage, token, (need) => (need === 'nothing' ? 'let in' : 'unauthorized'))
      expect(found, who).toEqual([])
    }
    const guarded = ROUTES.filter((route) => needOf(route) !== 'nothing')
    // Counted refusals are recorded when the server closes, or after an hour at the next refusal.
    ahead += 60 * 60_000
    await cage.get('/api/agents')
    expect(refused() - before).toBeGreaterThan(stale.length * guarded.length)
  })

  test('the router answers an unknown path with 404, in the shape of every error', async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    for (const path of [
      '/api/nothing',
      '/api/agents/nothing',
      '/api/agents/constructor',
      '/api/agents/__proto__',
      '/nothing',
    ]) {
      const reply = await cage.get(path, access_token)
      expect(reply.status, path).toBe(404)
      expect(reply.json()).toMatchObject({
        error: {
          code: 'not_found',
          message: expect.any(String),
          hint: expect.any(String),
          request_id: reply.headers['x-request-id'],
        },
      })
    }
  })

  test('the router takes JSON only, and not more than two megabytes of it', async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    const agent = cage.addAgent()
    const url = `${cage.url}/api/agents/${agent.id}/budget`
    const change = (type: string | undefined, body: string) =>
      send(url, {
        method: 'PATCH',
        headers: { authorization: `Bearer ${access_token}`, ...(type && { 'content-type': type }) },
        body,
      })
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonx',
      'application/json-evil',
      undefined,
    ]) {
      expect((await change(type, '{"add_usd":"5"}')).status, type).toBe(400)
    }
    for (const body of ['', '{', 'null', '[]', '"5"'])
      expect((await change('application/json', body)).status, body).toBe(400)
    expect(
      (await change('application/json', JSON.stringify({ add_usd: '5', x: 'a'.repeat(3 * 1024 * 1024) }))).status,
    ).toBe(413)
    expect(agent.balance().limit).toBe('10')
    expect((await change('application/json; charset=utf-8', '{"add_usd":"5"}')).status).toBe(200)
    expect(agent.balance().limit).toBe('15')
  })

  test('the router sends headers against framing, sniffing and caching', async () => {
    const cage = await openTestRuntime()
    for (const path of ['/api/health', '/api/nothing', '/api/snapshot', '/']) {
      const { headers } = await cage.get(path)
      expect(headers, path).toMatchObject({
        'content-security-policy': expect.stringContaining("default-src 'none'"),
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cross-origin-resource-policy': 'same-origin',
        'cache-control': path === '/' ? 'no-cache' : 'no-store',
      })
    }
  })
})

/** Other clients tidy a path up before they send it. */
async function getAsItIs(cage: TestRuntime, path: string): Promise<{ status: number | undefined; text: string }> {
  const request = httpRequest(cage.url, { path, agent: false }).end()
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  return { status: response.statusCode, text: String(Buffer.concat(await response.toArray())) }
}

describe("the dashboard's files", () => {
  test.each([
    '/../package.json',
    '/..%2fpackage.json',
    '/%2e%2e/package.json',
    '/../../etc/passwd',
    '/....//package.json',
    '/..\\package.json',
    '//etc/passwd',
    '/index.html/../../package.json',
    '/main.js%00.html',
    '/reports/../../../etc/passwd',
    '/reports/..%2f..%2fetc%2fpasswd',
    '/reports/lg-1/../../x',
    '/constructor',
    '/__proto__',
    '/.',
    '/index.html/',
  ])("the dashboard's files are those that were built, and %s is none", async (path) => {
    const cage = await openTestRuntime()
    const { status, text } = await getAsItIs(cage, path)
    expect([400, 404]).toContain(status)
    expect(text).not.toContain('root:')
    expect(text).not.toContain('"name": "iron-cage"')
  })

  test("the dashboard's files are served with their type, by GET and HEAD only", async () => {
    const cage = await openTestRuntime()
    for (const path of ['/', '/index.html', '/?x=1', '/reports/lg-7a3f9c2d', '/shared']) {
      const { status, headers, text } = await cage.get(path)
      expect([path, status, headers['content-type']]).toEqual([path, 200, 'text/html; charset=utf-8'])
      expect(text).toContain('<')
    }
    expect((await cage.post('/', '{}')).status).toBe(404)
    expect((await send(`${cage.url}/`, { method: 'HEAD' })).text).toBe('')
  })
})

test.each([
  '../../../../../../../../etc/passwd',
  '/etc/passwd',
  '/etc',
  '/proc/self/environ',
  'nothing.py',
  '..',
  '/dev/null',
  'agent.py\0.js',
  '%2e%2e/%2e%2e/etc/passwd',
  'file:///etc/passwd',
  'https://evil.com/agent.py',
])('a script named %j starts nothing and reveals nothing about the folder', async (script) => {
  const cage = await openTestRuntime()
  const { access_token } = await cage.login()
  const reply = await cage.post('/api/agents', { script }, access_token)
  expect([400, 404]).toContain(reply.status)
  expect(reply.text).not.toMatch(/root:|PATH=/)
  expect(cage.runtime.state.read().agents).toEqual({})
})
