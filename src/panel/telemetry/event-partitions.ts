/**
 * Events on PostgreSQL are stored in partitions by time, which are dropped as a whole when they are old.
 *
 * The rules are:
 * - The time is that of the arrival, by the database's clock: independent of a machine's clock, its events are in the
 *   partition of today, and make no other one.
 * - Incidents are stored for longer than other events, so they have partitions of their own: `events` is made of
 *   `events_daily` and `incidents`, each made of partitions by time.
 * - Each partition has the key of events. No key holds across two days: which events are new is decided by the cursor of
 *   their ledger, under its lock (`telemetry-store.ts`).
 * - Partitions are made days ahead, by one process of the panel. Events without one are stored in a default partition:
 *   a panel of the version before makes none, and an event is never refused. Made while events are stored, a partition
 *   would make them all wait for a lock on rows that others read.
 */
import { isoTime } from '../../core/clock.ts'
import type { Dialect, PanelDatabase, Sql } from '../db/database.ts'

const DAY_MS = 86_400_000

interface Group {
  table: 'events_daily' | 'incidents'
  /** Its partitions are named after their first day as well. */
  prefix: string
  /** How long a partition is. */
  spanMs: number
}

const DAILY: Group = { table: 'events_daily', prefix: 'events', spanMs: DAY_MS }
const INCIDENTS: Group = { table: 'incidents', prefix: 'incidents', spanMs: 10 * DAY_MS }

/** How long before their time partitions are made: a weekend without a panel that can is none in the default partition. */
const AHEAD_MS = 3 * DAY_MS

/** An erasure has locked its rows for longer; later statements must not wait for it as well. */
const LOCK_TIMEOUT_MS = 2_000

interface Partition {
  name: string
  isDefault: boolean
  /** In ms since 1970; a default partition has those of nothing. */
  from: number
  until: number
}

/** Makes the partitions of the next days, unless another process of the panel is about to. */
export async function makePartitions({ dialect, exclusively }: PanelDatabase): Promise<void> {
  for (const group of [DAILY, INCIDENTS]) {
    await exclusively('partition', async (sql) => {
      const now = await begin(sql, dialect)
      const partitions = await partitionsOf(sql, group)
      for (let from = now - (now % group.spanMs); from <= now + AHEAD_MS; from += group.spanMs) {
        if (!partitions.some((other) => other.from <= from && from < other.until)) await make(sql, dialect, group, from)
      }
    })
  }
}

/**
 * Drops partitions with nothing that arrived in the last `eventsMs`, or `incidentsMs`, and that no state is still to be
 * folded from; unless another process of the panel is about to.
 */
export async function dropPartitions(
  database: PanelDatabase,
  { eventsMs, incidentsMs }: { eventsMs: number; incidentsMs: number },
): Promise<void> {
  await dropOf(database, DAILY, eventsMs)
  await dropOf(database, INCIDENTS, incidentsMs)
}

async function dropOf({ dialect, exclusively }: PanelDatabase, group: Group, ageMs: number): Promise<void> {
  await exclusively('partition', async (sql) => {
    const ms = (await begin(sql, dialect)) - ageMs
    if ((await oldOf(sql, group, ms)).length === 0) return
    // Nothing is stored there meanwhile: what is old now stays so.
    await sql.rows(`LOCK TABLE ${group.table} IN ACCESS EXCLUSIVE MODE`)
    for (const { name, isDefault } of await oldOf(sql, group, ms)) {
      await sql.rows(isDefault ? `TRUNCATE ${name}` : `DROP TABLE ${name}`)
    }
  })
}

/** Partitions with nothing that arrived after `ms`, and nothing that is needed. */
async function oldOf(sql: Sql, group: Group, ms: number): Promise<Partition[]> {
  const old: Partition[] = []
  for (const partition of await partitionsOf(sql, group)) {
    const end = partition.isDefault ? await newest(sql, partition) : partition.until
    if (end <= ms && !(await isNeeded(sql, partition))) old.push(partition)
  }
  return old
}

/** Returns the database's time. */
async function begin(sql: Sql, { now }: Dialect): Promise<number> {
  await sql.rows(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
  const [row] = await sql.rows<{ now: number }>(`SELECT ${now} AS now`)
  return row!.now
}

async function partitionsOf(sql: Sql, { table }: Group): Promise<Partition[]> {
  const rows = await sql.rows<{ name: string; bound: string }>(
    `SELECT relname AS name, pg_get_expr(relpartbound, oid) AS bound
     FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = '${table}'::regclass ORDER BY relname`,
  )
  return rows.map(({ name, bound }) => {
    const [, from, until] = /FROM \('(\d+)'\) TO \('(\d+)'\)/.exec(bound) ?? []
    const isDefault = until === undefined
    return {
      name,
      isDefault,
      from: isDefault ? Infinity : Number(from),
      until: Number(until ?? -Infinity),
    }
  })
}

async function make(sql: Sql, { ownRows }: Dialect, { table, prefix, spanMs }: Group, from: number): Promise<void> {
  const until = from + spanMs
  // Nothing is stored there meanwhile that the new partition would have to have.
  await sql.rows(`LOCK TABLE ${table}_default IN ACCESS EXCLUSIVE MODE`)
  const stored = await sql.rows(
    `SELECT 1 FROM ${table}_default WHERE received_at >= ${from} AND received_at < ${until} LIMIT 1`,
  )
  // It stays there until all of it is old.
  if (stored.length > 0) return
  const name = `${prefix}_${isoTime(from).slice(0, 10).replaceAll('-', '')}`
  await sql.rows(`CREATE TABLE ${name} (LIKE events, PRIMARY KEY (runtime_id, journal_id, seq))`)
  for (const statement of ownRows(name, 'organization_id')) await sql.rows(statement)
  await sql.rows(`ALTER TABLE ${table} ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${until})`)
}

/** When the last row of a default partition arrived; an empty one is never old. */
async function newest(sql: Sql, { name }: Partition): Promise<number> {
  const [row] = await sql.rows<{ newest: number | null }>(`SELECT max(received_at) AS newest FROM ${name}`)
  return row!.newest ?? Infinity
}

/** Whether there are events that no kept state includes. Those of a ledger that was replaced are in none. */
async function isNeeded(sql: Sql, { name }: Partition): Promise<boolean> {
  const needed = await sql.rows(
    `SELECT 1 FROM telemetry WHERE EXISTS (SELECT 1 FROM ${name} AS stored WHERE stored.runtime_id = telemetry.runtime_id
       AND stored.journal_id = telemetry.journal_id AND stored.seq > telemetry.folded_seq) LIMIT 1`,
  )
  return needed.length > 0
}
