/** The separation of the organizations of one panel. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import * as z from 'zod'
import { systemClock } from '../../src/core/clock.ts'
import type { CageError } from '../../src/core/errors.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { Orders } from '../../src/panel/control/orders.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { panelRoutes } from '../../src/panel/routes.ts'
import { dollars } from '../support/money.ts'
import { oddTexts, withoutOdd } from './odd-texts.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'
import { openTenant, TENANT_PANEL } from './tenant.ts'
import { TENANT_REQUESTS } from './tenant-requests.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

async function openTenants() {
  const address = await cluster.newDatabase()
  const database = { address, ...(await openPanelDatabase(address)) }
  onTestFinished(() => database.close())
  const fleet = new Fleet(database)
  const [ours, theirs] = [await fleet.openOrganization('ours'), await fleet.openOrganization('theirs')]
  for (const id of [ours, theirs]) {
    await fleet.setLimit(id, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
    await fleet.credentials.invite(id, { team: null, user: null }, 'x', 'ada')
  }
  return { database, fleet, ours, theirs }
}

test('PostgreSQL shows and writes only rows of the own organization, for any statement', async () => {
  const { database, ours, theirs } = await openTenants()
  const organizations = (table: string, column = 'organization_id') =>
    database.within(ours, (sql) => sql.rows(`SELECT DISTINCT ${column} AS id FROM ${table}`))
  expect(await organizations('organizations', 'id')).toEqual([{ id: ours }])
  for (const table of ['budgets', 'credentials', 'audit']) expect(await organizations(table)).toEqual([{ id: ours }])
  const raise = 'UPDATE budgets SET limit_nanos = 1 WHERE organization_id = $1 RETURNING id'
  expect(await database.within(ours, (sql) => sql.rows(raise, [theirs]))).toEqual([])
  const forge = "INSERT INTO budgets (id, organization_id, scope, name, limit_nanos) VALUES ('b', $1, 'team', 'x', 1)"
  await expect(database.within(ours, (sql) => sql.rows(forge, [theirs]))).rejects.toThrow(/row-level security/)
  expect(await database.within(theirs, (sql) => sql.rows(raise, [theirs]))).toHaveLength(1)
})

test('every table with an organization is behind row-level security, also for its owner', async () => {
  const { database, fleet } = await openTenants()
  expect(await fleet.enforcesRowSecurity()).toBe(true)
  const open = await database.system.rows(
    `SELECT c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
     AND (c.relname = 'organizations' OR EXISTS
       (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'organization_id'))
     AND NOT (c.relrowsecurity AND c.relforcerowsecurity)`,
  )
  expect(open).toEqual([])
})

test('a text that PostgreSQL cannot store is refused in every place of every route, and never breaks one', async () => {
  const faults: unknown[] = []
  const address = await cluster.newDatabase()
  const panel = await openTestPanel({
    ...TENANT_PANEL,
    database: address,
    onFault: (error) => faults.push(error),
  })
  const database = await openPanelDatabase(address)
  onTestFinished(() => database.close())
  const names = { team: 'research', user: 'carol', lead: 'lee', agent: 'scout', token: 'notebook' }
  const tenant = await openTenant(panel, database, 'acme', names)
  const callers = { admin: 'an admin', viewer: 'a user', runtime: 'a machine', invited: 'an invited machine' } as const
  const texts = oddTexts(12)
  let places = 0
  for (const { method, path, role, query, body } of panelRoutes({
    ...panel,
    version: '1',
    ttlMs: 1,
    onNotice: () => {},
  })) {
    const route = `${method} ${path}`
    // Events are stored all the same (telemetry.test.ts), and schemas are in no database.
    if (['POST /api/telemetry', 'GET /api/schemas/:name', ...ENDING].includes(route)) continue
    const accepted = (await TENANT_REQUESTS[route]?.(tenant, tenant))?.body ?? {}
    const send = async (text: string, place: string, path: string, sent: unknown) => {
      const caller = callers[role === 'open' ? 'viewer' : role]
      const token = await tenant.token(caller)
      if (role === 'invited') tenant.forget(caller)
      const answer = await fetch(panel.url + path.replaceAll(/:(id|name)/g, 'none'), {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: method === 'GET' ? null : JSON.stringify(sent),
      })
      const said = `${route} with ${JSON.stringify(text)} as ${place}: ${answer.status} ${await answer.text()}`
      expect(answer.status, said).toBeLessThan(500)
      if (text !== withoutOdd(text)) expect(answer.status, said).toBe(400)
    }
    for (const text of texts) {
      const written = encodeURIComponent(text.toWellFormed())
      const isHalf = text !== text.toWellFormed()
      for (const [, name] of isHalf ? [] : path.matchAll(/:(\w+)/g)) {
        await send(text, name!, path.replace(`:${name}`, written), accepted)
      }
      for (const name of isHalf ? [] : Object.keys((query as z.ZodObject | undefined)?.shape ?? {})) {
        await send(text, name, `${path}?${name}=${written}`, accepted)
      }
      for (const [place, sent] of withText(body, accepted, text)) {
        places++
        await send(text, place, path, sent)
      }
    }
  }
  expect(places / texts.length).toBeGreaterThan(30)
  expect(faults).toEqual([])
}, 120_000)

/** Whose caller is gone afterwards. */
const ENDING = ['POST /api/auth/logout', 'DELETE /api/runtimes/self']

/** The body with the text in each place where its schema has one, and the names of the places. */
function* withText(schema: z.ZodType | undefined, body: object, text: string): Generator<[string, unknown]> {
  if (!schema) return
  const places = placesOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as Schema)
  for (const place of places) yield [place.join('.'), withAt(body, place, text)]
}

interface Schema {
  type?: string
  properties?: Record<string, Schema>
  items?: Schema
  anyOf?: Schema[]
}

function placesOf({ type, properties = {}, items, anyOf = [] }: Schema): (string | number)[][] {
  if (type === 'string') return [[]]
  const inner = Object.entries(properties).flatMap(([name, each]) => placesOf(each).map((place) => [name, ...place]))
  const of = items ? placesOf(items).map((place) => [0, ...place]) : []
  return [...inner, ...of, ...anyOf.flatMap(placesOf)]
}

function withAt(value: unknown, [first, ...rest]: (string | number)[], text: string): unknown {
  if (first === undefined) return text
  if (typeof first === 'number') {
    const list = (value ?? []) as unknown[]
    return [withAt(list[0], rest, text), ...list.slice(1)]
  }
  const fields = (value ?? {}) as Record<string, unknown>
  return { ...fields, [first]: withAt(fields[first], rest, text) }
}

test.each(['a colleague', 'a stranger'])(
  '%s cannot use the leases, signatures, ledger or orders of another machine',
  async (who) => {
    const address = await cluster.newDatabase()
    const panel = await openTestPanel({ database: address, masterKey: 'k7Qe2n0Z-VtYxW1rBs9uLcDpAa3fGh5JmX8iOo4q_Ew' })
    const { fleet, organizationId, orders, secrets } = panel
    const elsewhere = await fleet.openOrganization('theirs')
    for (const id of [organizationId, elsewhere]) {
      await fleet.setLimit(id, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
    }
    const ada = { organizationId, name: 'ada' }
    const join = async (name: string, where = organizationId) => {
      const invitation = await fleet.credentials.invite(where, { team: null, user: null }, name, 'ada')
      const joined = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, name, '1')
      const send = async (method: string, path: string, body?: object) => {
        const headers = { authorization: `Bearer ${joined.token}`, 'content-type': 'application/json' }
        const answer = await fetch(panel.url + path, { method, headers, body: body ? JSON.stringify(body) : null })
        return { status: answer.status, body: (await answer.json().catch(() => null)) as Record<string, unknown> }
      }
      return { ...joined, send, post: (path: string, body: object) => send('POST', path, body) }
    }
    const home = who === 'a stranger' ? elsewhere : organizationId
    const [victim, thief] = [await join('victim'), await join('thief', home)]
    const { epoch } = (await victim.post('/api/leases/open', { journal_id: 'of the victim', generation: 0 })).body
    const request = { epoch, request: 0, least_usd: '0.5', want_usd: '1' }
    const { id, signed } = (await victim.post('/api/leases/request', request)).body as { id: string; signed: string }
    const event = {
      seq: 1,
      at: '2026-01-01T00:00:00.000Z',
      agent_id: null,
      level: 'INFO',
      type: 'x',
      message: '',
      data: {},
    }
    const batch = { journal_id: 'of the victim', after: 0, through: 1, lost: null, events: [event] }
    await victim.post('/api/telemetry', batch)
    await secrets.set(ada, { name: 'KEY', environment: 'production', agent: null }, 'of the victim')
    await secrets.allow(ada, victim.runtimeId, ['production'])
    const order = await orders.create(ada, { runtimeId: victim.runtimeId, agentId: 'a-1', action: 'stop' })

    const database = await openPanelDatabase(address)
    onTestFinished(() => database.close())
    const ofVictim = async () =>
      JSON.stringify(
        await Promise.all(
          ['leases', 'orders', 'telemetry', 'events'].map((table) =>
            database.system.rows(`SELECT * FROM ${table} WHERE runtime_id = $1 ORDER BY 1`, [victim.runtimeId]),
          ),
        ),
      )
    const before = await ofVictim()
    const opened = await thief.post('/api/leases/open', { journal_id: 'of the victim', epoch: 7, generation: 0 })
    expect(opened.body.leases).toEqual([])
    const own = { epoch: opened.body.epoch }
    expect((await thief.post('/api/leases/request', { ...request, ...own })).body.id).not.toBe(id)
    const said = { id, used_usd: '0', returned_usd: '1', held_usd: '0', final: true }
    const reported = await thief.post('/api/leases/report', { ...own, statements: [said] })
    expect(reported).toMatchObject({ status: 200, body: { unknown: [] } })
    const [claim, signature] = signed.split('.') as [string, string]
    const altered = Buffer.from(claim, 'base64url').toString().replace(victim.runtimeId, thief.runtimeId)
    const forged = `${Buffer.from(altered).toString('base64url')}.${signature}`
    const forgotten = Buffer.from(altered.replace(id, 'lease-x-1-1')).toString('base64url')
    for (const lease of [
      { ...said, signed },
      { ...said, signed: forged },
      { ...said, id: 'lease-x-1-1', signed: `${forgotten}.${signature}` },
    ]) {
      expect((await thief.post('/api/leases/present', { leases: [lease] })).status).toBe(204)
    }
    await thief.post('/api/telemetry', { ...batch, through: 2, events: [{ ...event, seq: 2 }] })
    expect((await thief.send('GET', '/api/control')).body.orders).toEqual([])
    expect((await thief.post(`/api/control/orders/${order.id}`, { ok: true, message: '' })).status).toBe(404)
    expect((await thief.post('/api/control/secrets', { environment: 'production', agent: null })).status).toBe(403)
    expect(await ofVictim()).toBe(before)
    const lent = [...(await fleet.read(organizationId)).leases, ...(await fleet.read(elsewhere)).leases]
    expect(lent.map((lease) => lease.runtime_id).sort()).toEqual([victim.runtimeId, thief.runtimeId].sort())
    expect(await fleet.problems()).toEqual([])
    // And its owner goes on.
    const last = { ...said, returned_usd: '0', used_usd: '0.5', final: false }
    expect((await victim.post('/api/leases/report', { epoch, statements: [last] })).status).toBe(200)
  },
)

test('a revocation on one process of the panel takes effect on all others', async () => {
  const { database, fleet, ours } = await openTenants()
  const replica = await openPanelDatabase(database.address)
  onTestFinished(() => replica.close())
  const token = await fleet.credentials.exchange(await fleet.credentials.newCode(ours, 'ada'))
  const other = new Fleet(replica).credentials
  const session = await other.identify(token.access_token)
  expect(session).toMatchObject({ role: 'admin' })
  await fleet.credentials.revoke(ours, session!.id, 'ada')
  expect(await other.identify(token.access_token)).toBeUndefined()
})

test('guesses of a password on all processes of the panel count together, and the audit has their number alone', async () => {
  const { database, fleet, ours, theirs } = await openTenants()
  const replica = await openPanelDatabase(database.address)
  onTestFinished(() => replica.close())
  const other = new Fleet(replica)
  const password = 'correct horse'
  await fleet.people.add({ organizationId: ours, name: 'ada' }, { username: 'carol', role: 'viewer', password })
  const attempt = ({ people }: Fleet, guess: string, address = '203.0.113.7') =>
    people.signIn({ username: 'ours/carol', password: guess, address }, 'default').then(
      () => 'ok',
      (error: CageError) => error.code,
    )
  expect(await attempt(other, password, '198.51.100.2')).toBe('ok')
  const guesses = await Promise.all(
    Array.from({ length: 20 }, (_, n) => attempt([fleet, other][n % 2]!, 'my other password')),
  )
  const wrong = guesses.filter((code) => code === 'unauthorized').length
  expect(wrong).toBeGreaterThanOrEqual(5)
  expect(wrong).toBeLessThanOrEqual(7)
  expect(guesses.filter((code) => code === 'too_many_attempts')).toHaveLength(20 - wrong)
  // As if the last one had been just now, however long they took.
  await database.system.rows('UPDATE sign_in_attempts SET at = at + 60000')
  expect(await attempt(other, password)).toBe('too_many_attempts')
  expect(await attempt(fleet, password, '198.51.100.2')).toBe('ok')
  const failed = async (id: string) =>
    (await fleet.audit(id, 50)).filter(({ action }) => action === 'sign_in.failed').map(({ details }) => details)
  await fleet.people.failures.record()
  expect(await failed(ours)).toEqual([])
  await database.system.rows('UPDATE sign_in_failures SET since = since - 600000')
  await Promise.all([fleet, other, fleet].map(({ people }) => people.failures.record()))
  expect(await failed(ours)).toEqual([expect.stringMatching(new RegExp(`^{"failures":${wrong},"since":"[^"]+"}$`))])
  expect(await failed(theirs)).toEqual([])
})

test('an order given to one process of the panel reaches a runtime waiting at another, even after PostgreSQL was away', async () => {
  const { database, fleet, ours } = await openTenants()
  // No request is answered for having waited long enough.
  const never = { cancel: () => {}, unref: () => never }
  const other = await openTestPanel({ database: database.address, clock: { ...systemClock, after: () => never } })
  const invitation = await fleet.credentials.invite(ours, { team: null, user: null }, 'x', 'ada')
  const { runtimeId, token } = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, 'x', '1')
  const poll = async (known: string) => {
    const headers = { authorization: `Bearer ${token}` }
    const answer = await fetch(`${other.url}/api/control?known=${known}`, { headers })
    return (await answer.json()) as { revision: string; orders: { id: string; action: string }[] }
  }
  const orders = new Orders(database)
  const order = (action: 'stop' | 'pause') =>
    orders.create({ organizationId: ours, name: 'ada' }, { runtimeId, agentId: 'a-1', action })
  let { revision } = await poll('')
  const waiting = poll(revision)
  const { id } = await order('pause')
  const answer = await waiting
  expect(answer.orders).toMatchObject([{ id, action: 'pause' }])
  revision = answer.revision
  await cluster.crash()
  await cluster.start()
  const after = poll(revision)
  await expect
    .poll(() =>
      order('stop').then(
        () => true,
        () => false,
      ),
    )
    .toBe(true)
  expect((await after).orders).toMatchObject([{ action: 'stop' }])
})

test('a transaction that PostgreSQL crashes under is refused, and the panel goes on with the next one', async () => {
  const { database, ours } = await openTenants()
  const count = () => database.within(ours, (sql) => sql.rows('SELECT id FROM organizations'))
  const interrupted = database.within(ours, async (sql) => {
    await cluster.crash()
    // Its end arrives while no statement waits for it.
    await systemClock.sleep(50)
    return sql.rows('SELECT id FROM organizations')
  })
  await expect(interrupted).rejects.toThrow()
  await cluster.start()
  await expect.poll(() => count().catch(() => [])).toHaveLength(1)
})
