/** A revocation on one process of a panel, seen by another one: refused from the next request on, without any clock. */
import { dirname } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { panelRoutes } from '../../src/panel/routes.ts'
import { leavePanel } from '../../src/uplink/panel-client.ts'
import { dollars } from '../support/money.ts'
import { openTestRuntime } from '../support/runtime.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { joinMachine } from './machine.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'
import { type Caller, openTenant, rowsOf, TENANT_PANEL } from './tenant.ts'
import { TENANT_REQUESTS, type TenantRequest } from './tenant-requests.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const NAMES = { team: 'research', user: 'carol', lead: 'lee', agent: 'scout', token: 'notebook' }
const OTHER_NAMES = { team: 'sales', user: 'dora', lead: 'lou', agent: 'clerk', token: 'kiosk' }
/** The statuses of a machine's routes after its revocation, or for an unknown token. */
const REFUSED = [401, 403]

/** How often a machine reports by itself, in ms. */
const REPORT_INTERVAL_MS = 1_000

const never = { cancel: () => {}, unref: () => never }
/** On which nothing happens by itself. */
const stillClock: Clock = { ...systemClock, after: () => never }

/** Two processes on one database. */
async function openPanels() {
  const database = await cluster.newDatabase()
  const options = { ...TENANT_PANEL, database, clock: stillClock }
  const panels = [await openTestPanel(options), await openTestPanel(options)] as const
  const rows = await openPanelDatabase(database)
  onTestFinished(() => rows.close())
  return { panels, database: rows, address: database }
}

async function send(url: string, token: string, route: string, request: TenantRequest = {}) {
  const { params = {}, query = {}, body = {} } = request
  const [method, template] = route.split(' ') as [string, string]
  const path = template.replaceAll(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name]!))
  const answer = await fetch(`${url}${path}?${new URLSearchParams(query)}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: method === 'GET' ? null : JSON.stringify(body),
  })
  return { status: answer.status, text: await answer.text() }
}

test('a revoked machine is refused on every machine route, and no other machine can use its leases', async () => {
  const { panels, database } = await openPanels()
  const [here, there] = panels
  const victim = await openTenant(here, database, 'victim', NAMES)
  const stranger = await openTenant(here, database, 'stranger', OTHER_NAMES)
  const routes = panelRoutes({ ...here, version: '1', ttlMs: 1, onNotice: () => {} })
    .filter(({ role }) => role === 'runtime')
    .map(({ method, path }) => `${method} ${path}`)
  expect(routes.length).toBeGreaterThan(7)
  const said = new Map<string, TenantRequest>()
  for (const route of routes) said.set(route, (await TENANT_REQUESTS[route]?.(victim, victim)) ?? {})
  const token = await victim.token('a machine')
  await here.fleet.revoke(victim.id, victim.ids.machine, 'ada')
  const tables = [
    'runtimes',
    'leases',
    'transfers',
    'budgets',
    'budget_periods',
    'telemetry',
    'events',
    'orders',
    'audit',
  ]
  const before = await rowsOf(database, tables, victim.id)
  const taken: string[] = []
  for (const [route, request] of said) {
    const { status, text } = await send(there.url, token, route, request)
    if (!REFUSED.includes(status)) taken.push(`${route}: ${status} ${text}`)
  }
  expect(taken).toEqual([])
  // Leaving succeeds, since the machine has left already.
  await leavePanel({ url: there.url, token })
  expect(await rowsOf(database, tables, victim.id)).toEqual(before)
  // Another machine of the organization, and one of another one, with the lease, the signature and the journal.
  const invitation = (await here.fleet.credentials.identify(await victim.token('an invited machine')))!
  const colleague = await here.fleet.credentials.join(invitation, 'colleague', '1')
  const settled = await rowsOf(database, tables, victim.id)
  const { epoch } = await openEpoch(there.url, colleague.token)
  const thieves = [
    { token: colleague.token, epoch },
    { token: await stranger.token('a machine'), epoch: await stranger.openEpoch() },
  ]
  for (const thief of thieves) {
    for (const route of ['POST /api/leases/present', 'POST /api/leases/report', 'POST /api/control/orders/:id']) {
      const request = said.get(route)!
      const { status, text } = await send(there.url, thief.token, route, {
        ...request,
        body: { ...request.body, ...(route.endsWith('report') && { epoch: thief.epoch }) },
      })
      expect(status, `${route}: ${text}`).toBeLessThan(500)
    }
  }
  const own = ['leases', 'transfers', 'budgets', 'budget_periods', 'telemetry', 'events', 'orders']
  const after = await rowsOf(database, tables, victim.id)
  for (const table of own) expect(after[table], table).toEqual(before[table])
  expect(after.audit).toEqual(settled.audit)
  expect(await here.fleet.problems()).toEqual([])
})

async function openEpoch(url: string, token: string): Promise<{ epoch: number }> {
  const opened = await send(url, token, 'POST /api/leases/open', { body: { journal_id: 'colleague', generation: 0 } })
  return JSON.parse(opened.text) as { epoch: number }
}

test('tokens, sessions and people that end on one process have ended on the others with the next request', async () => {
  const { panels, database } = await openPanels()
  const [here, there] = panels
  const tenant = await openTenant(here, database, 'acme', NAMES)
  const { credentials, people } = here.fleet
  const ada = { organizationId: tenant.id, name: 'ada' }
  const idOf = async (value: string) => (await credentials.identify(value))!.id
  const ends: Partial<Record<Caller, (value: string) => Promise<unknown>>> = {
    'a token of an admin': async (value) => credentials.revoke(tenant.id, await idOf(value), 'ada'),
    'a token of a viewer': (value) => send(here.url, value, 'POST /api/auth/logout'),
    'an invited machine': async (value) => credentials.revoke(tenant.id, await idOf(value), 'ada'),
    'a user': () => people.remove(ada, NAMES.user),
    'the lead of a team': () => people.change(ada, NAMES.lead, { role: 'admin' }),
  }
  for (const [caller, end] of Object.entries(ends)) {
    const value = await tenant.token(caller as Caller)
    const route = caller === 'an invited machine' ? 'POST /api/runtimes/join' : 'GET /api/auth/me'
    const ask = () => send(there.url, value, route, { body: { name: 'laptop', version: 1 } })
    expect((await ask()).status, caller).not.toBe(401)
    await end(value)
    expect((await ask()).status, caller).toBe(401)
  }
})

test('a machine waiting at another process learns at once of its revocation, and stops calling', async () => {
  const { panels } = await openPanels()
  const [here, there] = panels
  const { fleet, organizationId } = here
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('10') }, 'ada')
  const path = temporaryFile('state.db')
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId } = await joinMachine(path, there.url, invitation)
  let isReporting = true
  const after: Clock['after'] = (ms, run) =>
    systemClock.after(ms, () => {
      if (isReporting || ms !== REPORT_INTERVAL_MS) run()
    })
  const machine = await openTestRuntime({ folder: dirname(path), clock: { ...systemClock, after } })
  const agent = machine.addAgent()
  await expect.poll(async () => (await agent.chat()).status).toBe(200)
  isReporting = false
  await fleet.revoke(organizationId, runtimeId, 'ada')
  expect((await machine.event('panel.lost')).data).toMatchObject({ code: 'runtime_revoked' })
  expect(await agent.chat()).toMatchObject({ status: 403, text: expect.stringContaining('runtime_revoked') })
  expect(machine.provider.requests.length).toBe(machine.rows().filter(({ state }) => state === 'charged').length)
})
