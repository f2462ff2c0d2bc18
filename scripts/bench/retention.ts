/**
 * node scripts/bench/retention.ts [--events 1000000]: how long it takes a Control Panel to drop a day of so many events, on a
 * real PostgreSQL that writes to the disk, beside deleting them from a table without partitions that has as many of another
 * day. The last line is JSON.
 */
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { TelemetryStore } from '../../src/panel/telemetry/telemetry-store.ts'
import { startCluster } from '../../test/panel/postgres.ts'

const { values } = parseArgs({ options: { events: { type: 'string', default: '1000000' } } })
const EVENTS = Number(values.events)
const RUNTIMES = 50
const DAY_MS = 86_400_000
const ROUNDS = 3

const cluster = await startCluster({ fsync: 'on' })
try {
  const figures: Record<string, number>[] = []
  for (let round = 0; round < ROUNDS; round++) {
    figures.push(await measure(await cluster.newDatabase()))
    console.error(JSON.stringify(figures.at(-1)))
  }
  console.log(JSON.stringify({ events: EVENTS, rounds: figures }))
} finally {
  await cluster.remove()
}

async function measure(address: string): Promise<Record<string, number>> {
  const database = await openPanelDatabase(address)
  const client = new pg.Client(address)
  await client.connect()
  await client.query("SET iron_cage.organization = '*'")
  const fleet = new Fleet(database)
  const organizationId = await fleet.openOrganization('default')
  const day = Math.floor(Date.now() / DAY_MS + 1) * DAY_MS
  const at = (ms: number) =>
    new TelemetryStore({ ...database, dialect: { ...database.dialect, now: `CAST(${ms} AS BIGINT)` } })
  await at(day).prepare()
  await client.query(
    `CREATE TABLE plain (LIKE events, PRIMARY KEY (runtime_id, journal_id, seq));
     CREATE INDEX ON plain (received_at);
     CREATE INDEX ON plain (organization_id, at) WHERE type = 'pii.found'`,
  )
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'm', 'ada')
  const { runtimeId } = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, 'm', '1')
  await client.query("INSERT INTO telemetry VALUES ($1, $2, 'j', $3, 0, NULL, $3)", [runtimeId, organizationId, EVENTS])
  for (const table of ['events', 'plain']) {
    for (const receivedAt of [day, day + DAY_MS]) {
      await client.query(
        `INSERT INTO ${table} SELECT $1, CASE WHEN seq % ${RUNTIMES} = 0 THEN $2 ELSE 'runtime-' || seq % ${RUNTIMES} END, 'j',
           seq + CAST($3 AS BIGINT), '2026-01-02T03:04:05.000Z', CAST($3 AS BIGINT), 'lg-7a3f', 'INFO', 'progress.updated',
           seq || ' of 10000 leads', '{"done":' || seq || ',"total":10000,"unit":"leads","label":null}'
         FROM generate_series(1, ${EVENTS}) AS seq`,
        [organizationId, runtimeId, receivedAt],
      )
    }
  }
  await client.query('UPDATE telemetry SET folded_seq = $1', [Number.MAX_SAFE_INTEGER])
  await client.query('VACUUM ANALYZE')
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now()
    await work()
    return Math.round(performance.now() - began)
  }
  const count = async () => Number((await client.query('SELECT count(*) FROM events')).rows[0].count)
  const before = await count()
  const drop_ms = await timed(() => at(day + 8 * DAY_MS).prune({ eventsMs: 7 * DAY_MS, incidentsMs: 90 * DAY_MS }))
  if (before - (await count()) !== EVENTS) throw new Error('a day was not dropped')
  const delete_ms = await timed(() =>
    client.query(
      `DELETE FROM plain WHERE received_at < ${day + DAY_MS} AND (type <> 'pii.found' OR received_at < 0)
       AND NOT EXISTS (SELECT 1 FROM telemetry WHERE telemetry.runtime_id = plain.runtime_id
         AND telemetry.journal_id = plain.journal_id AND seq > folded_seq)`,
    ),
  )
  const vacuum_ms = await timed(() => client.query('VACUUM plain'))
  await client.end()
  await database.close()
  return { drop_ms, delete_ms, vacuum_ms }
}
