/** Who may use which route of a Control Panel, tried with every role on every route. */
import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import type { BlockList } from 'node:net'
import { gunzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import type { SessionTokens } from '../../src/access/sessions.ts'
import type { CageError } from '../../src/core/errors.ts'
import { parseProxies } from '../../src/http/caller-address.ts'
import type { PanelRole } from '../../src/panel/access/credentials.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import type { FleetView, TeamMemberView } from '../../src/panel/fleet-view.ts'
import { panelRoutes } from '../../src/panel/routes.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { openTestPanel } from './open-panel.ts'

interface AnsweredError {
  error?: { code: string; message: string; hint: string }
}

async function openPanel() {
  const panel = await openTestPanel()
  const { fleet, organizationId } = panel
  const invite = () => fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { token: runtime } = await fleet.credentials.join(
    (await fleet.credentials.identify(await invite()))!,
    'laptop',
    '1',
  )
  const tokens: Record<PanelRole, string> = {
    admin: await fleet.credentials.createToken(organizationId, 'admin', 'ada', 'ada'),
    viewer: await fleet.credentials.createToken(organizationId, 'viewer', 'bob', 'ada'),
    invited: await invite(),
    runtime,
  }
  const send = (method: string, path: string, token?: string, body?: unknown) =>
    fetch(`${panel.url}${path.replace(':id', 'none').replace(':name', 'none')}`, {
      method,
      headers: { ...(token && { authorization: `Bearer ${token}` }), 'content-type': 'application/json' },
      body: method === 'GET' ? null : JSON.stringify(body ?? {}),
    })
  return { panel, tokens, send }
}

test('an invalid token is answered with its reason, not with a request for a token', async () => {
  const { panel, send } = await openPanel()
  const { fleet, organizationId } = panel
  const said = async (token?: string) =>
    ((await (await send('POST', '/api/runtimes/join', token, { name: 'x', version: '1' })).json()) as AnsweredError)
      .error
  expect(await said()).toMatchObject({ code: 'unauthorized', message: expect.stringContaining('Authorization header') })
  const used = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  expect(await said(used)).toBeUndefined()
  for (const token of [used, `ic_${'x'.repeat(43)}`]) {
    expect(await said(token)).toMatchObject({
      code: 'unauthorized',
      message: 'this token is unknown, was used or has ended',
      hint: expect.stringContaining('iron-cage runtimes invite'),
    })
  }
})

test('every route refuses all roles but its own, and an admin may do everything that a viewer may', async () => {
  const { panel, tokens, send } = await openPanel()
  const routes = panelRoutes({
    ...panel,
    version: '1',
    ttlMs: 1,
    onNotice: () => {},
  })
  const guarded = routes.filter(({ role }) => role !== 'open')
  expect(guarded.length).toBeGreaterThan(10)
  for (const { method, path, role } of guarded) {
    expect((await send(method, path)).status, `${method} ${path} without a token`).toBe(401)
    expect((await send(method, path, `ic_${'x'.repeat(43)}`)).status, `${method} ${path} with another token`).toBe(401)
    for (const [wrong, token] of Object.entries(tokens)) {
      if (wrong === role || (wrong === 'admin' && role === 'viewer')) continue
      expect((await send(method, path, token)).status, `${method} ${path} as ${wrong}`).toBe(403)
    }
  }
})

test('health, version and errors of a request are answered without a token', async () => {
  const { panel, tokens, send } = await openPanel()
  expect(await (await send('GET', '/health/live')).json()).toEqual({ status: 'ok' })
  expect(await (await send('GET', '/health/ready')).json()).toEqual({ status: 'ok' })
  expect((await send('GET', '/api/openapi.json', tokens.viewer)).status).toBe(200)
  const bad = await send('PATCH', '/api/fleet/budgets/organization', tokens.admin, { limit_usd: 'much' })
  expect(await bad.json()).toMatchObject({ error: { code: 'bad_request' } })
  const elsewhere = (await (await send('GET', '/api/snapshot', tokens.viewer)).json()) as { error: { hint: string } }
  expect(elsewhere.error.hint).toContain('for the server of this machine unset IRON_CAGE_URL')
  const foreign = await fetch(`${panel.url}/health/live`, { headers: { origin: 'https://evil.example' } })
  expect(foreign.status).toBe(403)
})

test('the fleet is sent with gzip to clients that accept it, with the same content', async () => {
  const { panel, tokens } = await openPanel()
  const read = async (encoding: string) => {
    const headers = { authorization: `Bearer ${tokens.viewer}`, 'accept-encoding': encoding }
    const sent = request(`${panel.url}/api/fleet`, { headers })
    sent.end()
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    const bytes = Buffer.concat(await answer.toArray())
    const isGzip = answer.headers['content-encoding'] === 'gzip'
    const { server_time, ...fleet } = JSON.parse((isGzip ? gunzipSync(bytes) : bytes).toString()) as FleetView
    return { isGzip, fleet }
  }
  const [plain, gzipped] = [await read('identity'), await read('deflate, gzip, br')]
  expect([plain.isGzip, gzipped.isGzip]).toEqual([false, true])
  expect(gzipped.fleet).toEqual(plain.fleet)
  expect((await read('gzip;q=0')).isGzip).toBe(false)
})

test('an admin issues and revokes a token over HTTP, and a signed-out session is closed', async () => {
  const { tokens, send } = await openPanel()
  const create = await send('POST', '/api/tokens', tokens.admin, { role: 'viewer', name: 'carl' })
  expect(create.status).toBe(201)
  const { token, id } = (await create.json()) as { token: string; id: string }
  expect((await send('GET', '/api/fleet', token)).status).toBe(200)
  for (const path of ['/api/fleet/credentials', '/api/tokens']) {
    const listed = await (await send('GET', path, tokens.admin)).text()
    expect(listed).toContain(id)
    expect(listed).not.toContain(token)
  }
  expect((await send('DELETE', `/api/tokens/${id}`, tokens.admin)).status).toBe(204)
  expect((await send('GET', '/api/fleet', token)).status).toBe(401)
  expect((await send('POST', '/api/auth/logout', tokens.viewer)).status).toBe(204)
  expect((await send('GET', '/api/fleet', tokens.viewer)).status).toBe(401)
})

test('a person signs in with a password; a change of the person ends sessions, tabs and tokens', async () => {
  const { tokens, send } = await openPanel()
  const carol = { username: 'Carol', role: 'admin', password: 'correct horse' }
  expect((await send('POST', '/api/users', tokens.admin, carol)).status).toBe(201)
  expect((await send('POST', '/api/users', tokens.admin, carol)).status).toBe(409)
  const signIn = async (password: string, username = 'carol') =>
    send('POST', '/api/auth/login', undefined, { username, password })
  expect((await signIn('wrong horse')).status).toBe(401)
  expect((await signIn('correct horse', 'nobody/carol')).status).toBe(401)
  const open = async (answer: Promise<Response>) => ((await (await answer).json()) as SessionTokens).access_token
  const session = await open(signIn('correct horse', 'default/carol'))
  expect(await (await send('GET', '/api/auth/me', session)).json()).toEqual({ role: 'admin', name: 'carol' })
  const tab = await open(send('POST', '/api/auth/tab', session))
  const created = await send('POST', '/api/tokens', session, { role: 'admin', name: 'ci' })
  const { token } = (await created.json()) as { token: string }
  const renewed = await open(send('POST', '/api/auth/refresh', undefined, { refresh_token: session }))
  expect((await send('POST', '/api/auth/refresh', undefined, { refresh_token: session })).status).toBe(401)
  const statuses = () =>
    Promise.all([session, renewed, tab, token].map(async (one) => (await send('GET', '/api/users', one)).status))
  expect(await statuses()).toEqual([401, 200, 200, 200])
  const change = await send('PATCH', '/api/users/carol', tokens.admin, { role: 'viewer' })
  expect(await change.json()).toMatchObject({ username: 'carol', role: 'viewer' })
  expect(await statuses()).toEqual([401, 401, 401, 401])
  const asViewer = await open(signIn('correct horse'))
  expect((await send('GET', '/api/users', asViewer)).status).toBe(403)
  expect((await send('DELETE', '/api/users/carol', tokens.admin)).status).toBe(204)
  expect((await send('GET', '/api/fleet', asViewer)).status).toBe(401)
  expect((await signIn('correct horse')).status).toBe(401)
  const { rows } = (await (await send('GET', '/api/audit?limit=200', tokens.admin)).json()) as {
    rows: { action: string; details: object }[]
  }
  expect(rows.map(({ action }) => action)).toEqual(
    expect.arrayContaining(['user.created', 'user.changed', 'user.removed', 'session.created']),
  )
  expect(JSON.stringify(rows)).not.toMatch(/horse|argon2/)
  expect(await (await send('GET', '/api/audit/verify', tokens.admin)).json()).toMatchObject({ ok: true })
})

test('people cannot decide on their own requests with any of their tokens or sessions', async () => {
  const { panel, tokens, send } = await openPanel()
  const team = { limit_usd: '1' }
  expect((await send('PATCH', '/api/fleet/budgets/team/:name', tokens.admin, team)).status).toBe(200)
  const password = 'correct horse'
  for (const username of ['carol', 'dave']) {
    await send('POST', '/api/users', tokens.admin, { username, role: 'admin', password })
  }
  const signIn = async (username: string) =>
    ((await (await send('POST', '/api/auth/login', undefined, { username, password })).json()) as SessionTokens)
      .access_token
  const tokenOf = async (creator: string, name: string) =>
    ((await (await send('POST', '/api/tokens', creator, { role: 'admin', name })).json()) as { token: string }).token
  const carol = await signIn('carol')
  const own = [carol, await signIn('carol'), await tokenOf(carol, 'ci'), await tokenOf(carol, 'notebook')]
  const ask = async (token: string) => {
    const body = { scope: 'team', name: 'none', add_usd: '1', reason: 'more' }
    return ((await (await send('POST', '/api/fleet/requests', token, body)).json()) as { id: string }).id
  }
  const decide = async (id: string, token: string) =>
    (await send('POST', `/api/fleet/requests/${id}/approve`, token, { reason: 'agreed' })).status
  for (const asker of own) {
    const id = await ask(asker)
    for (const decider of own) expect(await decide(id, decider)).toBe(403)
    expect(await decide(id, await signIn('dave'))).toBe(204)
  }
  // The creator of a token has its value.
  const byAda = await tokenOf(tokens.admin, 'spare')
  for (const [asker, decider] of [
    [byAda, tokens.admin],
    [tokens.admin, byAda],
  ] as const) {
    const id = await ask(asker)
    expect(await decide(id, decider)).toBe(403)
    expect(await decide(id, carol)).toBe(204)
  }
  expect((await panel.fleet.read(panel.organizationId)).budgets[1]!.limit_nanos).toBe(dollars('7'))
})

test("a lead decides on people's own requests in the team, within the team's limit, and on no others", async () => {
  const { panel, tokens, send } = await openPanel()
  const { fleet, organizationId } = panel
  const admin = { organizationId, name: 'ada' }
  const password = 'correct horse'
  for (const username of ['grace', 'carol', 'dave']) {
    await fleet.people.add(admin, { username, role: 'viewer', password })
    await fleet.setLimit(organizationId, { scope: 'user', name: username }, { limit: dollars('1') }, 'ada')
  }
  for (const name of ['research', 'sales']) {
    await fleet.setLimit(organizationId, { scope: 'team', name }, { limit: dollars('10') }, 'ada')
  }
  const put = async (team: string, name: string, role: string) =>
    (await send('PUT', `/api/fleet/teams/${team}/members/${name}`, tokens.admin, { role })).status
  expect(await put('research', 'grace', 'lead')).toBe(204)
  expect(await put('sales', 'grace', 'member')).toBe(204)
  expect(await put('research', 'carol', 'member')).toBe(204)
  expect(await put('sales', 'dave', 'lead')).toBe(204)
  expect(await put('none', 'dave', 'lead')).toBe(404)
  expect(await put('sales', 'nobody', 'lead')).toBe(404)
  const signIn = async (username: string) =>
    ((await (await send('POST', '/api/auth/login', undefined, { username, password })).json()) as SessionTokens)
      .access_token
  const [grace, carol, dave] = [await signIn('grace'), await signIn('carol'), await signIn('dave')]
  const ask = async (token: string, name: string, usd: string, scope = 'user') =>
    (
      (await (
        await send('POST', '/api/fleet/requests', token, { scope, name, add_usd: usd, reason: 'more' })
      ).json()) as { id: string }
    ).id
  const decide = async (token: string, id: string, verb = 'approve') =>
    (await send('POST', `/api/fleet/requests/${id}/${verb}`, token, { reason: 'agreed' })).status
  const carols = await ask(carol, 'carol', '9')
  expect(await decide(carol, carols)).toBe(403)
  expect(await decide(dave, carols)).toBe(403)
  expect(await decide(tokens.viewer, carols)).toBe(403)
  await fleet.setLimit(organizationId, { scope: 'agent', name: 'carol' }, { limit: dollars('1') }, 'ada')
  expect(await decide(grace, await ask(carol, 'carol', '1', 'agent'))).toBe(403)
  expect(await decide(grace, carols)).toBe(204)
  // Carol has $10 of the team's $10.
  expect(await decide(grace, await ask(carol, 'carol', '0.01'))).toBe(403)
  expect(await decide(grace, await ask(carol, 'carol', '0.01'), 'reject')).toBe(204)
  expect(await decide(grace, await ask(grace, 'grace', '1'))).toBe(403)
  expect(await decide(grace, await ask(carol, 'grace', '1'))).toBe(403)
  expect(await decide(grace, await ask(carol, 'research', '1', 'team'))).toBe(403)
  expect(await decide(grace, await ask(dave, 'dave', '1'))).toBe(403)
  expect(await decide(tokens.admin, await ask(dave, 'dave', '1'))).toBe(204)
  const last = await ask(carol, 'carol', '0.01')
  await send('DELETE', '/api/fleet/teams/research/members/grace', tokens.admin)
  expect(await decide(grace, last, 'reject')).toBe(403)
  const { members } = (await (await send('GET', '/api/fleet/teams', carol)).json()) as { members: TeamMemberView[] }
  expect(members.map(({ team, username, role }) => [team, username, role])).toEqual([
    ['research', 'carol', 'member'],
    ['sales', 'dave', 'lead'],
    ['sales', 'grace', 'member'],
  ])
  const { budgets } = await fleet.read(organizationId)
  expect(budgets.filter(({ scope }) => scope === 'user').map(({ limit_nanos }) => limit_nanos)).toEqual(
    ['10', '2', '1'].map(dollars),
  )
})

test('the page behind a proxy with TLS may call its panel, and no other page', async () => {
  const panel = await openTestPanel({ allowedHosts: ['panel.example.com'] })
  const statusFor = async (origin: string) => {
    const headers = { host: 'panel.example.com', origin, 'content-type': 'application/json' }
    const sent = request(`${panel.url}/api/auth/login`, { method: 'POST', headers })
    sent.end(JSON.stringify({ username: 'nobody', password: 'wrong' }))
    const [answer] = (await once(sent, 'response')) as [IncomingMessage]
    answer.resume()
    return answer.statusCode
  }
  expect(await statusFor('https://panel.example.com')).toBe(401)
  expect(await statusFor('https://evil.example')).toBe(403)
  expect(await statusFor('https://panel.example.com.evil.example')).toBe(403)
})

test('guesses are slowed down where they come from, and the owner elsewhere is not', async () => {
  const database = await openPanelDatabase(temporaryFile('panel.db'))
  onTestFinished(() => database.close())
  const fleet = new Fleet(database)
  const organizationId = await fleet.openOrganization('default')
  const person = { username: 'carol', role: 'viewer', password: 'correct horse' } as const
  await fleet.people.add({ organizationId, name: 'ada' }, person)
  const attempt = (password: string, address: string) =>
    fleet.people.signIn({ username: 'carol', password, address }, 'default')
  const guesses = await Promise.allSettled(Array.from({ length: 20 }, () => attempt('guess', '203.0.113.7')))
  const codes = guesses.map((guess) => guess.status === 'rejected' && (guess.reason as CageError).code)
  expect(codes.filter((code) => code === 'unauthorized').length).toBeLessThanOrEqual(7)
  // As if the last one had been just now, however long they took.
  await database.system.rows('UPDATE sign_in_attempts SET at = at + 60000')
  await expect(attempt('correct horse', '203.0.113.7')).rejects.toMatchObject({ code: 'too_many_attempts' })
  expect(await attempt('correct horse', '198.51.100.2')).toMatchObject({ username: 'carol' })
})

test('behind trusted proxies guesses count by caller, and forged headers are ignored', async () => {
  const refusedOf = async (trustedProxies: BlockList | undefined, forwarded: (n: number) => string) => {
    const { url } = await openTestPanel({ trustedProxies })
    const guesses = Array.from({ length: 12 }, async (_, n) => {
      const headers = { 'content-type': 'application/json', 'x-forwarded-for': forwarded(n) }
      const body = JSON.stringify({ username: 'carol', password: 'guess' })
      return (await fetch(`${url}/api/auth/login`, { method: 'POST', headers, body })).status
    })
    return (await Promise.all(guesses)).filter((status) => status === 429).length
  }
  const trusted = parseProxies('127.0.0.1,::1,10.0.0.0/8')
  expect(await refusedOf(trusted, (n) => `203.0.113.7, 192.0.2.${n}, 10.0.0.9`)).toBe(0)
  expect(await refusedOf(trusted, (n) => `192.0.2.${n}, 203.0.113.7, 10.0.0.9`)).toBeGreaterThan(0)
  expect(await refusedOf(undefined, (n) => `192.0.2.${n}`)).toBeGreaterThan(0)
})

test('an agent token is an invitation, and carries a budget if it names one', async () => {
  const { panel, tokens, send } = await openPanel()
  const body = { name: 'notebook', budget_usd: '100' }
  const created = await send('POST', '/api/tokens', tokens.admin, body)
  expect(created.status).toBe(201)
  const { token } = (await created.json()) as { token: string }
  const joined = await send('POST', '/api/runtimes/join', token, { name: 'laptop', version: '1' })
  expect(joined.status).toBe(201)
  const { budgets } = await panel.fleet.read(panel.organizationId)
  expect(budgets).toContainEqual(
    expect.objectContaining({ scope: 'token', name: 'notebook', limit_nanos: dollars('100') }),
  )
  expect((await send('POST', '/api/tokens', tokens.admin, body)).status).toBe(409)
})

test('a runtime cannot claim more than can be counted, or borrow nothing', async () => {
  const { panel, tokens, send } = await openPanel()
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
  const opened = await send('POST', '/api/leases/open', tokens.runtime, { journal_id: 'j' })
  const { epoch } = (await opened.json()) as { epoch: number }
  const request = (least: string, n: number) =>
    send('POST', '/api/leases/request', tokens.runtime, { epoch, request: n, least_usd: least, want_usd: '1' })
  expect((await request('0', 0)).status).toBe(400)
  const lent = (await (await request('1', 1)).json()) as { id: string }
  const claim = { id: lent.id, used_usd: '9000000', returned_usd: '0', held_usd: '0', final: false }
  await send('POST', '/api/leases/report', tokens.runtime, { epoch, statements: [claim] })
  const again = (await (await request('1', 2)).json()) as { id?: string; outcome: string }
  expect(again.outcome).toBe('exhausted')
  expect(await fleet.problems()).toEqual([])
  expect((await fleet.read(organizationId)).budgets[0]!.settled_nanos).toBeLessThanOrEqual(Number.MAX_SAFE_INTEGER)
})

test('the token of one organization cannot see or change another organization', async () => {
  const database = await openPanelDatabase(temporaryFile('panel.db'))
  onTestFinished(() => database.close())
  const fleet = new Fleet(database)
  const [ours, theirs] = [await fleet.openOrganization('ours'), await fleet.openOrganization('theirs')]
  await fleet.setLimit(ours, { scope: 'team', name: 'research' }, { limit: dollars('5') }, 'ada')
  await expect(fleet.credentials.invite(theirs, { team: 'research', user: null }, 'x', 'eve')).rejects.toMatchObject({
    code: 'not_found',
  })
  await fleet.setLimit(theirs, { scope: 'team', name: 'research' }, { limit: dollars('1') }, 'eve')
  const limits = async (id: string) =>
    (await fleet.read(id)).budgets.map(({ name, limit_nanos }) => [name, limit_nanos])
  expect(await limits(ours)).toEqual([
    ['ours', 0],
    ['research', dollars('5')],
  ])
  expect(await fleet.audit(theirs, 10)).toHaveLength(1)
})
