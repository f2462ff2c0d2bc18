/** Every route of the router, and who may use it. The list is the router's own, so a new route is in it. */
import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { api, type ServerParts } from '../../src/api/server.ts'
import { openWorld } from '../breaker/support.ts'
import { openTestRuntime, type Reply, send, type TestRuntime } from '../support/runtime.ts'

// Making the routes reads nothing but the tables; no request is answered here.
const { routes } = api(openWorld() as unknown as ServerParts)

interface Route {
  method: string
  path: string
}

const ROUTES: Route[] = [
  ...new Set(routes.filter(({ method }) => method !== 'ALL').map(({ method, path }) => `${method} ${path}`)),
].map((route) => ({ method: route.split(' ')[0]!, path: route.split(' ')[1]! }))

const OPEN = [
  'GET /api/health',
  'GET /api/version',
  'POST /api/auth/exchange',
  'POST /api/auth/refresh',
  'POST /api/auth/login',
]
/** Whoever proved who they are. */
const ANYONE = ['GET /api/auth/me']
const isOpen = ({ method, path }: Route) => OPEN.includes(`${method} ${path}`)
const isForAgents = ({ path }: Route) => path.startsWith('/api/run')
/** What a viewer may change is its own session. */
const VIEWERS_OWN = ['POST /api/auth/logout', 'POST /api/auth/ws-ticket']

const ask = (cage: TestRuntime, { method, path }: Route, token: string | undefined): Promise<Reply> =>
  send(cage.url + path.replaceAll(/:\w+/g, 'nothing'), {
    method: method as 'GET',
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      'content-type': 'application/json',
    },
    body: method === 'GET' ? undefined : '{}',
  })

/** Routes whose answer is not among `expected`, with what they answered. */
async function surprises(
  cage: TestRuntime,
  among: Route[],
  token: string | undefined,
  expected: (status: number) => boolean,
) {
  const found: string[] = []
  for (const route of among) {
    const { status } = await ask(cage, route, token)
    if (!expected(status)) found.push(`${route.method} ${route.path}: ${status}`)
  }
  return found
}

async function viewerToken(cage: TestRuntime): Promise<{ id: string; token: string }> {
  const { access_token } = await cage.login()
  const reply = await cage.post('/api/tokens', { name: 'a screen', role: 'viewer' }, access_token)
  expect(reply.status).toBe(201)
  return reply.json() as { id: string; token: string }
}

describe('the router', () => {
  test('has the routes it should, and all are seen here', () => {
    expect(ROUTES.length).toBeGreaterThan(30)
    const names = ROUTES.map(({ method, path }) => `${method} ${path}`)
    expect(names).toEqual(
      expect.arrayContaining([
        ...OPEN.slice(0, 4),
        ...ANYONE,
        ...VIEWERS_OWN,
        'GET /api/snapshot',
        'GET /api/events',
        'PATCH /api/agents/:id/budget',
        'POST /agent/:id/stop',
        'POST /api/run/charges',
      ]),
    )
  })

  test('lets nobody in anywhere without a proof of who they are', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    cage.runtime.runTokens.revoke(agent.runId)
    const session = await cage.login()
    await cage.post('/api/auth/logout', {}, session.access_token)
    const text = `${Buffer.from('{"alg":"HS256","typ":"at+jwt"}').toString('base64url')}.${session.access_token.split('.')[1]}`
    const guarded = ROUTES.filter((route) => !isOpen(route))
    for (const [who, token] of Object.entries({
      nobody: undefined,
      'a made-up run token': 'run_0123456789012345678901234567890123456789012',
      'a made-up API token': 'ic_0123456789012345678901234567890123456789012',
      'the token of a run that has ended': agent.token,
      'the token of a session that was left': session.access_token,
      'its refresh token': session.refresh_token,
      'a token signed by somebody else': `${text}.${createHmac('sha256', 'x').update(text).digest('base64url')}`,
      'a token without a signature': `${Buffer.from('{"alg":"none"}').toString('base64url')}.${text.split('.')[1]}.`,
    })) {
      expect(await surprises(cage, guarded, token, (status) => status === 401), who).toEqual([])
    }
    expect(cage.of('auth.failed').length).toBeGreaterThanOrEqual(8 * guarded.length)
  })

  test('gives an agent what is its own, and nothing else', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const others = ROUTES.filter(
      (route) => !isOpen(route) && !isForAgents(route) && !ANYONE.includes(`${route.method} ${route.path}`),
    )
    expect(await surprises(cage, others, agent.token, (status) => status === 403)).toEqual([])
    const own = ROUTES.filter(isForAgents)
    expect(await surprises(cage, own, agent.token, (status) => [200, 204, 400, 404].includes(status))).toEqual([])
  })

  test('lets a viewer look, and change nothing', async () => {
    const cage = await openTestRuntime()
    const { token } = await viewerToken(cage)
    const names = (route: Route) => `${route.method} ${route.path}`
    const changing = ROUTES.filter(
      (route) => route.method !== 'GET' && !isOpen(route) && !VIEWERS_OWN.includes(names(route)),
    )
    expect(await surprises(cage, changing, token, (status) => status === 403)).toEqual([])
    const looking = ROUTES.filter(
      (route) => route.method === 'GET' && !isForAgents(route) && !/tokens|users|audit/.test(route.path),
    )
    expect(await surprises(cage, looking, token, (status) => status === 200 || status === 404)).toEqual([])
  })

  test('lets an admin do everything but what only an agent can', async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    const rest = ROUTES.filter((route) => !isForAgents(route) && !route.path.endsWith('/logout'))
    expect(
      await surprises(cage, rest, access_token, (status) => ![401, 403, 500].includes(status) || status === 404),
    ).toEqual(
      // A refresh without a token is nobody's.
      [],
    )
    expect(await surprises(cage, ROUTES.filter(isForAgents), access_token, (status) => status === 403)).toEqual([])
  })

  test('answers what it does not have with 404, in the shape of every error', async () => {
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

  test('takes JSON only, and not more than two megabytes of it', async () => {
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

  test('says in headers that nobody may frame, sniff or keep what it answers', async () => {
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
  ])('are those that were built, and %s is none', async (path) => {
    const cage = await openTestRuntime()
    const { status, text } = await getAsItIs(cage, path)
    expect([400, 404]).toContain(status)
    expect(text).not.toContain('root:')
    expect(text).not.toContain('"name": "iron-cage"')
  })

  test('are served with their type, by GET and HEAD only', async () => {
    const cage = await openTestRuntime()
    for (const path of ['/', '/index.html', '/?x=1', '/reports/lg-7a3f9c2d']) {
      const { status, headers, text } = await cage.get(path)
      expect([path, status, headers['content-type']]).toEqual([path, 200, 'text/html; charset=utf-8'])
      expect(text).toContain('<')
    }
    expect((await cage.post('/', '{}')).status).toBe(404)
    expect((await send(`${cage.url}/`, { method: 'HEAD' })).text).toBe('')
  })
})
