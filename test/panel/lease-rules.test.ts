/**
 * The rules that the safety of leases needs, as the program keeps them: the order of commits, answers and locks, which the
 * model (lease-model.test.ts) takes for granted. Each of these rules removed from the program makes a test red:
 *
 * | rule | test |
 * |---|---|
 * | a grant is on the disk before it is answered | here, the first two |
 * | a repeated request gets the same lease | lease-model, panel-store: "a repeated request …" |
 * | a lease is stored before it is spent | budget/leases: "a lease pays for nothing …" |
 * | the row of a hold is committed before its call is sent | budget/ledger: "a hold counts at once …"; gateway/run-call: "a ledger that cannot be written before …" |
 * | a return is stored before it is reported | budget/leases: "a return is in the database …" |
 * | statements are totals | lease-model, panel-store: "a repeated request …" |
 * | messages and grants of an earlier epoch are refused | lease-model, budget/leases: "a grant to an earlier epoch …" |
 * | the statements of another ledger are not believed | lease-model, panel-store: "a runtime that comes back …", leases: "a power failure" |
 * | time frees nothing | here, "a lease that expires …" |
 * | the holds of a killed server count | budget/ledger: "a restarted ledger", leases: "the hold of a killed runtime's call …" |
 * | a charge above its hold is posted in full | panel-store: "a charge above the lease …" |
 * | rows are locked in the order of their ids | here, the last ones |
 */
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { ZERO_NANOS } from '../../src/core/money.ts'
import { grantLease, openRuntime, recordStatements } from '../../src/panel/bank/bank.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { dollars } from '../support/money.ts'
import { type Cluster, startCluster } from './postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const TTL_MS = 60_000

/** Another session, which row-level security does not concern. */
async function connect(address: string): Promise<pg.Client> {
  const client = new pg.Client(address.replace('//owner@', '//postgres@'))
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

async function openFleet(address: string) {
  const database = await openPanelDatabase(address)
  onTestFinished(() => database.close())
  const fleet = new Fleet(database)
  const organizationId = await fleet.openOrganization('acme')
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('10') }, 'ada')
  const invite = () => fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const join = async () => {
    const member = (await fleet.credentials.identify(await invite()))!
    const { runtimeId } = await fleet.credentials.join(member, 'laptop', '1')
    const { epoch } = await fleet.bank.run({ runtimeId }, (books) =>
      openRuntime(books, runtimeId, { journalId: 'journal', epoch: 0 }, TTL_MS),
    )
    const borrow = (agent: string | null = null, request = 0) => {
      const wanted = { epoch, request, least: dollars('0.1'), want: dollars('0.1'), agent, token: null }
      return fleet.bank.run({ runtimeId, names: { agent, token: null } }, (books) =>
        grantLease(books, runtimeId, wanted, TTL_MS),
      )
    }
    return { runtimeId, epoch, borrow }
  }
  return { database, fleet, organizationId, join }
}

const sessionsWaiting = async (client: pg.Client): Promise<number> => {
  const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`
  return (await client.query(waiting)).rows.length
}

test('a grant is answered after its commit, however long that takes', async () => {
  const address = await cluster.newDatabase()
  const { join } = await openFleet(address)
  const { borrow } = await join()
  const gate = await connect(address)
  await gate.query(`
    CREATE FUNCTION wait_at_commit() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON transfers DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION wait_at_commit();
    SELECT pg_advisory_lock(1)`)
  let isAnswered = false
  const granted = borrow().finally(() => {
    isAnswered = true
  })
  await expect.poll(() => sessionsWaiting(gate)).toBe(1)
  expect(isAnswered).toBe(false)
  await gate.query('SELECT pg_advisory_unlock(1)')
  expect(await granted).toMatchObject({ outcome: 'granted' })
})

test('commits of money are written to the disk, also where the database would not wait for that', async () => {
  const address = await cluster.newDatabase()
  const admin = await connect(address)
  await admin.query(`ALTER DATABASE ${new URL(address).pathname.slice(1)} SET synchronous_commit = off`)
  const { database } = await openFleet(address)
  const settings = () => database.money((sql) => sql.rows('SHOW synchronous_commit'))
  expect(await settings()).toEqual([{ synchronous_commit: 'on' }])
  // On a new connection after one that broke as well.
  const others =
    'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()'
  await admin.query(others)
  await expect.poll(() => settings().catch(() => undefined)).toEqual([{ synchronous_commit: 'on' }])
})

test('a lease that expires frees nothing, and later statements of its machine still count', async () => {
  const { database, fleet, organizationId, join } = await openFleet(await cluster.newDatabase())
  const { runtimeId, epoch, borrow } = await join()
  const lease = await borrow()
  if (lease.outcome !== 'granted') throw new Error(lease.outcome)
  const sums = async () => {
    const { budgets, leases } = await fleet.read(organizationId)
    const { settled_nanos: settled, escrow_nanos: lent } = budgets[0]!
    return { settled, lent, states: leases.map(({ state }) => state) }
  }
  await database.system.rows('UPDATE leases SET expires_at = 0')
  expect(await fleet.expire()).toEqual([lease.id])
  expect(await sums()).toEqual({ settled: 0, lent: lease.granted, states: ['expired'] })
  const statement = { id: lease.id, used: lease.granted, returned: ZERO_NANOS, held: ZERO_NANOS, isFinal: true }
  await fleet.bank.run({ runtimeId, leaseIds: [lease.id] }, (books) =>
    recordStatements(books, runtimeId, { epoch, statements: [statement] }, TTL_MS),
  )
  expect(await sums()).toEqual({ settled: lease.granted, lent: 0, states: [] })
})

test.each(['runtimes', 'budgets', 'budget_periods'])(
  'rows of %s are locked in the order of their ids, so that panels never deadlock',
  async (table) => {
    const address = await cluster.newDatabase()
    const { fleet, organizationId, join } = await openFleet(address)
    const [machine] = await Promise.all(Array.from({ length: 8 }, join))
    for (let n = 0; n < 8; n++) {
      const agent = { scope: 'agent', name: `agent-${n}` } as const
      await fleet.setLimit(organizationId, agent, { limit: dollars('5'), period: 'month' }, 'ada')
      await machine!.borrow(agent.name, n)
    }
    const [holder, observer] = [await connect(address), await connect(address)]
    const stored = (await observer.query<{ id: string }>(`SELECT id FROM ${table} ORDER BY ctid`)).rows
    // The higher one is stored first.
    const [high, low] = stored.flatMap(({ id }, at) => {
      const later = stored.slice(at + 1).find((row) => row.id < id)
      return later ? [[id, later.id] as const] : []
    })[0]!
    await holder.query(`BEGIN; SELECT FROM ${table} WHERE id = '${low}' FOR UPDATE`)
    const needs =
      table === 'runtimes'
        ? [high, low].map((runtimeId) => ({ runtimeId }))
        : [{ runtimeId: machine!.runtimeId, accountIds: [high, low] }]
    const done = Promise.all(needs.map((need) => fleet.bank.run(need, () => 'done')))
    await expect.poll(() => sessionsWaiting(observer)).toBe(1)
    const free = await observer.query(`SELECT id FROM ${table} WHERE id = '${high}' FOR UPDATE NOWAIT`)
    expect(free.rows).toEqual([{ id: high }])
    await holder.query('ROLLBACK')
    expect(await done).toEqual(needs.map(() => 'done'))
  },
)
