/**
 * Every route of a Control Panel with the things of another organization, as every caller. Twice: as in production, and with
 * a role of PostgreSQL that is exempt from row-level security, so that the statements alone keep organizations apart.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import type { PanelDatabase } from '../../src/panel/db/database.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { panelRoutes } from '../../src/panel/routes.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'
import { CALLERS, type Caller, type Names, openTenant, rowsOf, TENANT_PANEL, type Tenant } from './tenant.ts'
import { SENDERS, TENANT_REQUESTS, type TenantRequest } from './tenant-requests.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

/** They take a proof instead of a caller: the last test has them, and provider-sign-ins.test.ts those of the provider. */
const PROVEN = ['POST /api/auth/exchange', 'POST /api/auth/login', 'POST /api/auth/refresh']
const AT_PROVIDER = ['POST /api/auth/oidc/start', 'POST /api/auth/oidc/finish']
/** Their caller is gone afterwards. */
const ENDING = ['POST /api/auth/logout', 'DELETE /api/runtimes/self', 'POST /api/runtimes/join']
/** They name things of the caller's own organization, or reveal nothing about foreign ones. */
const WITHIN_OWN = [
  ...['POST /api/users', 'POST /api/tokens', 'PUT /api/fleet/secrets', 'POST /api/erasures'],
  ...(['team', 'user', 'agent', 'token'] as const).map((scope) => `PATCH /api/fleet/budgets/${scope}/:name`),
  ...['POST /api/leases/open', 'POST /api/leases/present', 'POST /api/leases/report', 'POST /api/telemetry'],
  ...['POST /api/control/secrets', 'POST /api/control/requests'],
]
/** Tables of no organization. */
const OF_NOBODY = ['ledger_meta', 'panel_meta', 'sign_in_attempts', 'sign_in_flows']

const NAMES: Names = { team: 'research', user: 'carol', lead: 'lee', agent: 'scout', token: 'notebook' }
const OTHER_NAMES: Names = { team: 'sales', user: 'dora', lead: 'lou', agent: 'clerk', token: 'kiosk' }

const WALLS = [
  ['row-level security behind the statements', (address: string) => address],
  ['the statements alone', (address: string) => address.replace('//owner@', '//postgres@')],
] as const

async function openOrganizations(address: string) {
  const never = { cancel: () => {}, unref: () => never }
  const panel = await openTestPanel({
    ...TENANT_PANEL,
    database: address,
    // Nothing happens by itself.
    clock: { ...systemClock, after: () => never },
    onFault: (error) => {
      throw error
    },
  })
  const database = await openPanelDatabase(address)
  onTestFinished(() => database.close())
  const tables = await tablesOf(database)
  const open = (name: string, names: Names) => openTenant(panel, database, name, names)
  const victim = await open('victim', NAMES)
  const routes = panelRoutes({ ...panel, version: '1', ttlMs: 1, onNotice: () => {} })
  const send = async (by: Tenant, caller: Caller | undefined, name: string, request: TenantRequest) => {
    const { params = {}, query = {}, body = {} } = request
    const [method, template] = name.split(' ') as [string, string]
    const path = template.replaceAll(/:(\w+)/g, (_, param: string) => encodeURIComponent(params[param]!))
    const token = caller && (await by.token(caller))
    const answer = await fetch(`${panel.url}${path}?${new URLSearchParams(query)}`, {
      method,
      headers: { ...(token && { authorization: `Bearer ${token}` }), 'content-type': 'application/json' },
      body: method === 'GET' ? null : JSON.stringify(body),
    })
    if (caller && answer.ok && ENDING.includes(name)) by.forget(caller)
    return { status: answer.status, text: await answer.text() }
  }
  const rows = () => rowsOf(database, tables, victim.id)
  return { panel, database, routes, victim, open, send, rows, before: await rows() }
}

/** Those of organizations, without their partitions. A new one belongs to one, or to `OF_NOBODY`. */
async function tablesOf({ system }: PanelDatabase): Promise<string[]> {
  const tables = await system.rows<{ name: string; is_owned: boolean }>(
    `SELECT table_name AS name, table_name = 'organizations' OR bool_or(column_name = 'organization_id') AS is_owned
     FROM information_schema.columns JOIN pg_class ON oid = format('%I', table_name)::regclass
     WHERE table_schema = 'public' AND NOT relispartition GROUP BY table_name ORDER BY table_name`,
  )
  expect(tables.filter(({ is_owned }) => !is_owned).map(({ name }) => name)).toEqual(OF_NOBODY)
  return tables.filter(({ is_owned }) => is_owned).map(({ name }) => name)
}

/** Filters that no route has: they must not choose anything. */
const foreignQuery = ({ id, ids, names }: Tenant) => ({
  ...{ organization: id, organization_id: id, team: names.team, user: names.user, user_id: ids.user },
  ...{ runtime: ids.machine, runtime_id: ids.machine, agent: names.agent, token: ids.token },
})

describe.each(WALLS)('with %s', (_, addressOf) => {
  test('no route reads or changes another organization, for any role of the caller in its own', async () => {
    const { routes, victim, open, send, rows, before } = await openOrganizations(addressOf(await cluster.newDatabase()))
    expect(Object.entries(before).filter(([, found]) => found.length === 0)).toEqual([])
    const requestOf = (name: string) => TENANT_REQUESTS[name] ?? (() => ({}) as TenantRequest)
    /** Sent texts come back in messages. */
    const requireNothingOf = (text: string, sent: TenantRequest, said: string) => {
      const known = JSON.stringify(sent)
      const secrets = [...victim.words, victim.id, ...Object.values(victim.ids)].filter((word) => !known.includes(word))
      expect(
        secrets.filter((word) => text.includes(word)),
        said,
      ).toEqual([])
    }
    // Everything has another name at two of them, and the same name at the third. The newcomer uses names of the victim.
    const [stranger, newcomer] = [await open('stranger', OTHER_NAMES), await open('newcomer', OTHER_NAMES)]
    const twin = await open('twin', NAMES)
    let homes = 0
    for (const { method, path, role, body, query } of routes) {
      const name = `${method} ${path}`
      if ([...PROVEN, ...AT_PROVIDER].includes(name)) continue
      const takes = body !== undefined || query !== undefined || path.includes(':')
      expect(takes, `${name} needs a request that it accepts`).toBe(Object.hasOwn(TENANT_REQUESTS, name))
      const mayUse = (caller: Caller) =>
        role === 'open' || CALLERS[caller] === role || (CALLERS[caller] === 'admin' && role === 'viewer')
      const entitled = (Object.keys(CALLERS) as Caller[]).filter(mayUse)

      for (const caller of SENDERS[name] ?? entitled.slice(0, 1)) {
        const home = method === 'GET' ? twin : await open(`home-${homes++}`, NAMES)
        const request = await requestOf(name)(home, home)
        const { status, text } = await send(home, caller, name, request)
        const said = `${name} at home as ${caller}: ${status} ${text.slice(0, 300)}`
        expect(status, said).toBeLessThan(300)
        requireNothingOf(text, request, said)
      }
      expect(await rows(), `${name} at home`).toEqual(before)

      const everybody = [undefined, ...(Object.keys(CALLERS) as Caller[])]
      const isWithinOwn = WITHIN_OWN.includes(name)
      for (const [by, callers] of [
        [isWithinOwn ? newcomer : stranger, everybody] as const,
        [twin, entitled] as const,
      ]) {
        for (const caller of callers) {
          const request = await requestOf(name)(victim, by)
          const filters = query === undefined ? [foreignQuery(victim)] : [request.query!, foreignQuery(victim)]
          for (const filter of filters) {
            const sent = { ...request, query: filter }
            const { status, text } = await send(by, caller, name, sent)
            const said = `${name} of the victim as ${caller} of ${by.name}: ${status} ${text.slice(0, 300)}`
            const named = JSON.stringify([request.params, request.body])
            if (role !== 'open' && caller === undefined) expect(status, said).toBe(401)
            else if (role !== 'open' && !mayUse(caller!)) expect(status, said).toBe(403)
            // Only a filter that a route does not have may be refused as such.
            else if (query !== undefined && filter !== request.query && status === 400)
              expect(text, said).toContain('the query: ')
            else if (!isWithinOwn && namesThingsOf(victim, by, named)) expect([403, 404], said).toContain(status)
            else expect(status < 500 && status !== 400, said).toBe(true)
            requireNothingOf(text, sent, said)
          }
        }
        expect(await rows(), `${name} of ${by.name}`).toEqual(before)
      }
    }
    expect(homes).toBeGreaterThan(40)
  }, 300_000)

  test('a code, a password and a session open the organization that they are of, and no other', async () => {
    const { panel, open, send, rows } = await openOrganizations(addressOf(await cluster.newDatabase()))
    const home = await open('home', NAMES)
    const { people, credentials } = panel.fleet
    await people.change({ organizationId: home.id, name: 'ada' }, NAMES.user, { password: home.password })
    const before = await rows()
    const prove = async (name: string, request?: TenantRequest) =>
      send(home, undefined, name, request ?? (await TENANT_REQUESTS[name]!(home, home)))
    const [exchange, login, refresh] = PROVEN as [string, string, string]
    const link = await TENANT_REQUESTS[exchange]!(home, home)
    for (const opened of [await prove(exchange, link), await prove(login), await prove(refresh)]) {
      expect(opened.status).toBe(200)
      const { access_token } = JSON.parse(opened.text) as { access_token: string }
      expect(await credentials.identify(access_token)).toMatchObject({ organizationId: home.id })
    }
    const elsewhere = { username: `victim/${NAMES.user}`, password: home.password }
    expect((await prove(login, { body: elsewhere })).status).toBe(401)
    expect((await prove(exchange, link)).status).toBe(401)
    const failures = 'sign_in_failures'
    expect({ ...(await rows()), [failures]: [] }).toEqual({ ...before, [failures]: [] })
  })
})

/** Ids, and names that the caller's own organization does not have as well. */
function namesThingsOf(victim: Tenant, by: Tenant, request: string): boolean {
  const own = Object.values(by.names)
  const names = Object.values(victim.names).filter((name) => !own.includes(name))
  return [...Object.values(victim.ids), ...names].some((text) => request.includes(text))
}
