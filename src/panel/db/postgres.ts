/**
 * PostgreSQL: one connection for money, since several on a row that all of them change make each other wait, and a pool
 * for the rest. A broken connection is replaced at its next use.
 */
import pg from 'pg'
import { exactNanos } from '../bank.ts'
import type { Dialect, PanelDatabase, Sql, Value } from './database.ts'
import { migrate } from './migrations.ts'

/** For everything but money. */
const MAX_CONNECTIONS = 8
const CONNECT_TIMEOUT_MS = 2_000
/** A statement that takes longer has lost its server. */
const QUERY_TIMEOUT_MS = 5_000

const POSTGRES: Dialect = {
  kind: 'postgres',
  now: '(extract(epoch FROM clock_timestamp()) * 1000)::bigint',
  forUpdate: 'FOR UPDATE',
  serial: 'BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY',
  isIn: (column, parameter) => `${column} IN (SELECT json_array_elements_text(${parameter}::json))`,
}

const INT8 = 20

/** Throws what the driver throws when the database cannot be reached. */
export async function openPostgres(connectionString: string): Promise<PanelDatabase> {
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
  const pool = new pg.Pool({ ...options, max: MAX_CONNECTIONS })
  // Reported by the query that uses the connection.
  pool.on('error', () => {})
  const money = new MoneyConnection(options)
  try {
    await money.transaction((sql) => migrate(sql, POSTGRES))
  } catch (error) {
    await Promise.all([pool.end(), money.close()])
    throw error
  }
  return {
    dialect: POSTGRES,
    rows: async <Row>(text: string, values: readonly Value[] = []) =>
      (await pool.query(text, values as Value[])).rows as Row[],
    transaction: (work) => money.transaction(work),
    close: async () => {
      await Promise.all([pool.end(), money.close()])
    },
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
    const rows = async <Row>(text: string, values: readonly Value[] = []) =>
      (await client.query(text, values as Value[])).rows as Row[]
    try {
      await client.query('BEGIN')
      const result = await work({ rows })
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
    // A grant is on the disk before it is answered, whatever the server's default is.
    await client.query("SET synchronous_commit = 'on'")
    this.#client = client
    return client
  }

  #drop(client: pg.Client): void {
    if (this.#client === client) this.#client = undefined
    client.end().catch(() => undefined)
  }
}
