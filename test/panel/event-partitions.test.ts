/** Events on PostgreSQL are stored in partitions by time: the behaviour that this must keep, and its purpose. */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import type { PanelDatabase } from '../../src/panel/db/database.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { PanelTelemetry } from '../../src/panel/telemetry/telemetry.ts'
import { TelemetryStore } from '../../src/panel/telemetry/telemetry-store.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const DAY_MS = 86_400_000
const AGES = { eventsMs: 7 * DAY_MS, incidentsMs: 90 * DAY_MS }

/** A database with the time that is set, today at first, and a runtime of an organization there. */
async function open() {
  const address = await cluster.newDatabase()
  const real = await openPanelDatabase(address)
  onTestFinished(() => real.close())
  await real.system.rows('CREATE TABLE test_clock (ms BIGINT NOT NULL)')
  await real.system.rows('INSERT INTO test_clock VALUES (0)')
  const setTime = (ms: number) => real.system.rows('UPDATE test_clock SET ms = $1', [ms])
  const today = Math.floor(Date.now() / DAY_MS) * DAY_MS
  await setTime(today + DAY_MS / 2)
  const database: PanelDatabase = { ...real, dialect: { ...real.dialect, now: '(SELECT ms FROM test_clock)' } }
  const fleet = new Fleet(database)
  const organizationId = await fleet.openOrganization('acme')
  const join = async (organization = organizationId) => {
    const invitation = await fleet.credentials.invite(organization, { team: null, user: null }, 'x', 'ada')
    return (await fleet.credentials.join((await fleet.credentials.identify(invitation))!, 'x', '1')).runtimeId
  }
  const runtimeId = await join()
  const [store, another] = [new TelemetryStore(database), new TelemetryStore(database)]
  await store.prepare()
  const take = (after: number, through: number, change: Partial<RuntimeEvent> = {}, by = store, of = runtimeId) =>
    by.take(organizationId, of, batchOf(after, through, change))
  /** Where each event is, in their order. */
  const stored = async () =>
    (
      await database.system.rows<{ seq: number; place: string }>(
        'SELECT seq, tableoid::regclass::text AS place FROM events ORDER BY runtime_id, journal_id, seq',
      )
    ).map(({ seq, place }) => `${seq} ${place}`)
  const partitions = async () =>
    (
      await database.system.rows<{ relname: string }>(
        "SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY relname",
      )
    ).map(({ relname }) => relname)
  const fold = async () => {
    const telemetry = new PanelTelemetry(database)
    for (const cursor of await store.cursors(organizationId)) {
      const { snapshot } = (await telemetry.states(organizationId)).get(cursor.runtime_id)!
      await store.keep(organizationId, cursor, snapshot)
    }
  }
  return {
    ...{ address, database, fleet, organizationId, runtimeId, join, setTime, today, store, another },
    ...{ take, stored, partitions, fold },
  }
}

function batchOf(after: number, through: number, change: Partial<RuntimeEvent> = {}) {
  const common = { at: '2026-01-02T03:04:05.000Z', agent_id: 'a-1', level: 'INFO', message: 'x', data: {} }
  const events = Array.from({ length: through - after }, (_, n) => {
    return { ...common, type: 'agent.paused', seq: after + n + 1, ...change } as RuntimeEvent
  })
  return { journal_id: 'one', after, through, lost: null, events }
}

const found = { type: 'pii.found' } as const

const nameOf = (ms: number, prefix = 'events') =>
  `${prefix}_${new Date(ms).toISOString().slice(0, 10).replaceAll('-', '')}`
const incidentsOf = (ms: number) => nameOf(ms - (ms % (10 * DAY_MS)), 'incidents')

test("events are in the partition of their day of arrival, regardless of the machine's clock", async () => {
  const { setTime, today, store, take, stored, partitions } = await open()
  await setTime(today + 2 * DAY_MS)
  await store.prepare()
  const before = await partitions()
  await take(0, 1, { at: '1970-01-01T00:00:00.000Z' })
  await take(1, 2, { at: '9999-12-31T23:59:59.000Z' })
  await take(2, 3, { ...found, at: '2001-01-01T00:00:00.000Z' })
  const day = today + 2 * DAY_MS
  expect(await stored()).toEqual([`1 ${nameOf(day)}`, `2 ${nameOf(day)}`, `3 ${incidentsOf(day)}`])
  await store.prepare()
  expect(await partitions()).toEqual(before)
})

test('a batch that is repeated on the other side of midnight, by several processes at once, is stored once', async () => {
  const { setTime, today, store, another, take, stored, organizationId } = await open()
  const midnight = today + 2 * DAY_MS
  await setTime(midnight - 1)
  await store.prepare()
  expect(await take(0, 3)).toEqual({ acked_seq: 3 })
  await setTime(midnight)
  const again = await Promise.all([
    take(0, 3),
    take(0, 3, {}, another),
    take(1, 3),
    take(2, 5, {}, another),
    take(0, 2),
  ])
  for (const { acked_seq } of again) expect([3, 5]).toContain(acked_seq)
  await take(2, 5)
  await setTime(midnight - 1)
  expect(await take(0, 5)).toEqual({ acked_seq: 5 })
  const [evening, morning] = [nameOf(midnight - 1), nameOf(midnight)]
  const days = [`1 ${evening}`, `2 ${evening}`, `3 ${evening}`, `4 ${morning}`, `5 ${morning}`]
  expect(await stored()).toEqual(days)
  // The ledger of a backup, and the one that it replaced again, a day later.
  const other = { ...batchOf(0, 2), journal_id: 'restored' }
  await store.take(organizationId, (await store.cursors(organizationId))[0]!.runtime_id, other)
  await setTime(midnight + DAY_MS)
  expect(await take(0, 5)).toEqual({ acked_seq: 5 })
  expect((await stored()).slice(0, 5)).toEqual(days)
  expect(await stored()).toHaveLength(7)
})

test('old days are dropped as partitions, no row is deleted, and incidents stay for their own time', async () => {
  const { database, organizationId, setTime, today, store, take, partitions, fold } = await open()
  const first = today + DAY_MS
  for (let day = 0; day < 3; day++) {
    await setTime(first + day * DAY_MS)
    await store.prepare()
    await take(2 * day, 2 * day + 1)
    await take(2 * day + 1, 2 * day + 2, found)
  }
  await fold()
  await database.system.rows(
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'a row is deleted'; END $$",
  )
  await database.system.rows('CREATE TRIGGER refuse BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION refuse()')
  await expect(database.system.rows('DELETE FROM events')).rejects.toThrow('a row is deleted')
  const listed = async () => {
    const incidents = await store.incidents(organizationId, { before: null, limit: 10 })
    const [{ count }] = (await database.system.rows<{ count: number }>('SELECT count(*) AS count FROM events')) as [
      { count: number },
    ]
    return { incidents: incidents.length, others: count - incidents.length }
  }
  expect(await listed()).toEqual({ incidents: 3, others: 3 })

  await setTime(first + 8 * DAY_MS - 1)
  await store.prune(AGES)
  expect(await partitions()).toContain(nameOf(first))
  await setTime(first + 8 * DAY_MS)
  await Promise.all([store.prune(AGES), new TelemetryStore(database).prune(AGES)])
  expect(await partitions()).not.toContain(nameOf(first))
  expect(await partitions()).toContain(nameOf(first + DAY_MS))
  expect(await listed()).toEqual({ incidents: 3, others: 2 })

  await setTime(first + 89 * DAY_MS)
  await store.prune(AGES)
  expect(await listed()).toEqual({ incidents: 3, others: 0 })
  await setTime(first + 110 * DAY_MS)
  await store.prune(AGES)
  expect(await listed()).toEqual({ incidents: 0, others: 0 })
  expect(await partitions()).toEqual(['events_daily_default', 'incidents_default'])
})

test('a partition stays as long as a state is still to be folded from it', async () => {
  const { setTime, today, store, take, stored, fold } = await open()
  await take(0, 2)
  await setTime(today + 30 * DAY_MS)
  await store.prune(AGES)
  expect(await stored()).toHaveLength(2)
  await fold()
  await store.prune(AGES)
  expect(await stored()).toEqual([])
})

test('an event without a partition is stored all the same, and goes when all such events are old', async () => {
  const { setTime, today, store, take, stored, partitions, fold } = await open()
  const later = today + 40 * DAY_MS
  await setTime(later)
  await take(0, 1)
  await take(1, 2, found)
  const lost = ['1 events_daily_default', '2 incidents_default']
  expect(await stored()).toEqual(lost)
  // The day that has begun there ends there.
  await store.prepare()
  expect(await partitions()).not.toContain(nameOf(later))
  await setTime(later + DAY_MS)
  await take(2, 3)
  expect(await stored()).toEqual([...lost, `3 ${nameOf(later + DAY_MS)}`])
  await fold()
  await setTime(later + 8 * DAY_MS)
  await store.prune(AGES)
  expect(await stored()).toEqual([lost[1], `3 ${nameOf(later + DAY_MS)}`])
  await setTime(later + 91 * DAY_MS)
  await store.prune(AGES)
  expect(await stored()).toEqual([])
})

test('a clock of the database that was wrong for a moment makes few partitions, and none is missing afterwards', async () => {
  const { setTime, today, store, take, stored, partitions } = await open()
  const before = await partitions()
  for (const ms of [Date.parse('2199-01-01T00:00:00Z'), Date.parse('1971-01-01T00:00:00Z')]) {
    await setTime(ms)
    await store.prepare()
  }
  expect((await partitions()).length - before.length).toBeLessThan(12)
  await setTime(today + 2 * DAY_MS)
  await store.prepare()
  await take(0, 1)
  expect(await stored()).toEqual([`1 ${nameOf(today + 2 * DAY_MS)}`])
})

test('each partition is behind row-level security itself, and is found by its key', async () => {
  const { database, fleet, setTime, today, organizationId, join, store, take } = await open()
  const theirs = await fleet.openOrganization('theirs')
  await setTime(today + DAY_MS)
  await store.prepare()
  await take(0, 2)
  await store.take(theirs, await join(theirs), batchOf(0, 2))
  const place = nameOf(today + DAY_MS)
  const organizations = await database.within(organizationId, (sql) =>
    sql.rows(`SELECT DISTINCT organization_id FROM ${place}`),
  )
  expect(organizations).toEqual([{ organization_id: organizationId }])
  for (const table of ['events', 'events_daily', place]) {
    const forge = `INSERT INTO ${table} SELECT $1, runtime_id, 'x', seq, at, received_at, agent_id, level, type, message, data FROM ${place}`
    await expect(database.within(organizationId, (sql) => sql.rows(forge, [theirs]))).rejects.toThrow(
      /row-level security/,
    )
    const erase = `DELETE FROM ${table} WHERE organization_id = $1 RETURNING seq`
    expect(await database.within(organizationId, (sql) => sql.rows(erase, [theirs]))).toEqual([])
  }
  const twice = `INSERT INTO events SELECT * FROM ${place}`
  await expect(database.within(organizationId, (sql) => sql.rows(twice))).rejects.toMatchObject({ code: '23505' })
})

test('a long read of events delays retention, and no other work', async () => {
  const { database, setTime, today, store, take, stored, fold } = await open()
  await take(0, 1)
  await fold()
  await setTime(today + 30 * DAY_MS)
  const waits = () => database.system.rows("SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'")
  await database.exclusively('alert', async (sql) => {
    await sql.rows('SELECT seq FROM events')
    const pruned = expect(store.prune(AGES)).rejects.toMatchObject({ code: '55P03' })
    await expect.poll(waits).toHaveLength(1)
    await take(1, 2)
    await pruned
    expect(await stored()).toHaveLength(2)
  })
  await store.prune(AGES)
  expect(await stored()).toHaveLength(1)
})

test('panels that start at once on one database make the partitions of the next days once', async () => {
  const address = await cluster.newDatabase()
  const faults: unknown[] = []
  const onFault = (error: unknown) => faults.push(error)
  await Promise.all(Array.from({ length: 3 }, () => openTestPanel({ database: address, onFault })))
  expect(faults).toEqual([])
  const database = await openPanelDatabase(address)
  onTestFinished(() => database.close())
  const names = await database.system.rows<{ relname: string }>(
    "SELECT relname FROM pg_class WHERE relname ~ '^events_2' AND relkind = 'r'",
  )
  expect(names.map(({ relname }) => relname).sort()).toEqual([0, 1, 2, 3].map((n) => nameOf(Date.now() + n * DAY_MS)))
})
