/**
 * PostgreSQL: one connection for money, since several on a row that all of them change make each other wait, and pools for
 * the rest. A broken connection is replaced at its next use. Row-level security compares each row's organization with a
 * setting of the connection; without it nothing is seen.
 */
import pg from 'pg'
import { CageError } from '../../core/errors.ts'
import { exactNanos } from '../bank/bank.ts'
import { Changes, type Connect } from './changes.ts'
import type { Dialect, ExclusiveWork, PanelDatabase, Sql, Value } from './database.ts'
import { migrate } from './migrations.ts'

const MIN_VERSION = 14
/** For what organizations ask. */
const MAX_CONNECTIONS = 6
/** For single statements of the panel itself, and the work that one process does for all. */
const MAX_SYSTEM_CONNECTIONS = 4
const CONNECT_TIMEOUT_MS = 2_000
/** A statement that takes longer has lost its server. */
const QUERY_TIMEOUT_MS = 5_000
/** Changes of tables take as long as there are rows to be moved or checked, and wait for another process that is at it. */
const TABLES_TIMEOUT_MS = 3_600_000
/** A process that rests longer within exclusive work does not come back, and another one may begin. */
const EXCLUSIVE_IDLE_MS = 30_000
/** Of advisory locks: "iron", and the kind of work. */
const LOCKS = 0x69726f6e
const LOCK_OF: Readonly<Record<ExclusiveWork, number>> = { alert: 2, check: 3, partition: 4 }

const POSTGRES: Dialect = {
  kind: 'postgres',
  now: '(extract(epoch FROM clock_timestamp()) * 1000)::bigint',
  // A promoted server has another timeline, which the name of its log shows before the control file does; a restored
  // dump has another table. A copy of the files that is started as it is has all three: see `generations.ts`.
  identity: `concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8), 'ledger_meta'::regclass::oid)`,
  // Data exceptions, broken constraints, and values that are too large.
  isRefusal: (error) => error instanceof pg.DatabaseError && /^(22|23|54)/.test(error.code ?? ''),
  // No key is ever changed: a row that others refer to can be locked while they do.
  forUpdate: 'FOR NO KEY UPDATE',
  serial: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
  // As an array the list is read once; PostgreSQL may join a subquery row by row, and read it again for each.
  isIn: (column, parameter) => `${column} = ANY (ARRAY(SELECT json_array_elements_text(${parameter}::json)))`,
  // Forced: the panel owns its tables, and owners are exempt otherwise.
  ownRows: (table, column) => [
    `ALTER TABLE ${table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`,
    `CREATE POLICY own_rows ON ${table} USING (current_setting('${ORGANIZATION}', true) IN (${column}, '${EVERY}'))`,
  ],
}

/**
 * The setting of a connection that selects the organization whose rows it may see: the id of an organization, or EVERY
 * one.
 */
const ORGANIZATION = 'iron_cage.organization'
const EVERY = '*'
const SEE_EVERYTHING = `SET ${ORGANIZATION} = '${EVERY}'`

const INT8 = 20

const CHANNEL = 'iron_cage_changes'

/** `migrates`: whether it gets the tables of this version. Throws the driver's error when it cannot be reached. */
export async function openPostgres(connectionString: string, migrates: boolean): Promise<PanelDatabase> {
  const types = {
    getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
      oid === INT8 ? exactNanos : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
  }
  const options = {
    connectionString,
    types,
    application_name: 'iron-cage panel',
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
  }
  const pooled = { ...options, Client: PooledClient }
  const tenants = new pg.Pool({ ...pooled, max: MAX_CONNECTIONS })
  const ofAll = { ...pooled, onConnect: seeEverything }
  const system = new pg.Pool({ ...ofAll, max: MAX_SYSTEM_CONNECTIONS })
  const tables = new pg.Pool({ ...ofAll, max: 1, query_timeout: TABLES_TIMEOUT_MS })
  for (const pool of [tenants, system, tables]) pool.on('error', () => {})
  const money = new MoneyConnection(options)
  const changes = new Changes(listenTo(options))
  const close = async () => {
    await Promise.all([tenants.end(), system.end(), tables.end(), money.close(), changes.close()])
  }
  try {
    const prepare = async (sql: Sql) => {
      await requireVersion(sql)
      if (migrates) await migrate(sql, POSTGRES)
    }
    await transaction(tables, prepare, 'BEGIN; SET LOCAL synchronous_commit = on')
  } catch (error) {
    await close()
    throw error
  }
  return {
    dialect: POSTGRES,
    system: sqlOf(system),
    within: (organizationId, work) =>
      transaction(tenants, work, `BEGIN; SET LOCAL ${ORGANIZATION} = ${pg.escapeLiteral(organizationId)}`),
    exclusively: (kind, work) =>
      transaction(kind === 'partition' ? tables : system, (sql) => whenAlone(sql, kind, work)),
    money: (work) => money.transaction(work),
    announce: async (organizationId) => {
      await system.query('SELECT pg_notify($1, $2)', [CHANNEL, organizationId]).catch(() => undefined)
    },
    listen: (listener) => changes.listen(listener),
    close,
    discard: close,
  }
}

/** Throws CageError `database_unusable`. */
async function requireVersion(sql: Sql): Promise<void> {
  const [server] = await sql.rows<{ number: string; name: string }>(
    "SELECT current_setting('server_version_num') AS number, current_setting('server_version') AS name",
  )
  const { number, name } = server!
  if (Number(number) >= MIN_VERSION * 10_000) return
  throw new CageError('database_unusable', `this is PostgreSQL ${name}, and a panel needs ${MIN_VERSION} or newer`, {
    hint: 'update PostgreSQL, or name another one with --database',
  })
}

/** LISTEN belongs to a session: through a proxy that gives each transaction another one no notification arrives. */
const listenTo =
  (options: pg.ClientConfig): Connect =>
  async (heard, lost) => {
    const client = new pg.Client(options)
    const disconnect = () => client.end().catch(() => undefined)
    client.on('error', lost)
    client.on('end', lost)
    client.on('notification', ({ payload }) => heard(payload))
    try {
      await client.connect()
      await client.query(`LISTEN ${CHANNEL}`)
    } catch (error) {
      void disconnect()
      throw error
    }
    return disconnect
  }

/** A connection that breaks between two statements is reported by the next one, not by an unhandled event. */
class PooledClient extends pg.Client {
  constructor(options?: string | pg.ClientConfig) {
    super(options)
    this.on('error', () => {})
  }
}

async function seeEverything(client: pg.ClientBase): Promise<void> {
  await client.query(SEE_EVERYTHING)
}

const sqlOf = (connection: Pick<pg.ClientBase, 'query'>): Sql => ({
  rows: async <Row>(text: string, values: readonly Value[] = []) =>
    (await connection.query(text, values as Value[])).rows as Row[],
})

/** PostgreSQL frees the lock when the transaction or its process ends. */
async function whenAlone<T>(sql: Sql, kind: ExclusiveWork, work: (sql: Sql) => Promise<T>): Promise<T | undefined> {
  const [lock] = await sql.rows<{ is_mine: boolean }>('SELECT pg_try_advisory_xact_lock($1, $2) AS is_mine', [
    LOCKS,
    LOCK_OF[kind],
  ])
  if (!lock!.is_mine) return undefined
  await sql.rows(`SET LOCAL idle_in_transaction_session_timeout = ${EXCLUSIVE_IDLE_MS}`)
  return work(sql)
}

async function transaction<T>(pool: pg.Pool, work: (sql: Sql) => Promise<T>, begin = 'BEGIN'): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query(begin)
    const result = await work(sqlOf(client))
    await client.query('COMMIT')
    client.release()
    return result
  } catch (error) {
    // Whatever the server knows of the transaction ends with the connection.
    client.release(true)
    throw error
  }
}

class MoneyConnection {
  readonly #options: pg.ClientConfig
  #client: pg.Client | undefined
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: pg.ClientConfig) {
    this.#options = options
  }

  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const run = this.#last.then(() => this.#run(work))
    this.#last = run.catch(() => undefined)
    return run
  }

  async close(): Promise<void> {
    await this.#last
    await this.#client?.end()
  }

  async #run<T>(work: (sql: Sql) => Promise<T>): Promise<T> {
    const client = await this.#connected()
    try {
      await client.query('BEGIN')
      const result = await work(sqlOf(client))
      await client.query('COMMIT')
      return result
    } catch (error) {
      // Whatever the server knows of the transaction ends with the connection.
      this.#drop(client)
      throw error
    }
  }

  async #connected(): Promise<pg.Client> {
    if (this.#client) return this.#client
    const client = new pg.Client(this.#options)
    client.on('error', () => this.#drop(client))
    await client.connect()
    // A grant is on the disk before it is answered, independent of the server's default.
    await client.query("SET synchronous_commit = 'on'")
    await client.query(SEE_EVERYTHING)
    this.#client = client
    return client
  }

  #drop(client: pg.Client): void {
    if (this.#client === client) this.#client = undefined
    client.end().catch(() => undefined)
  }
}
