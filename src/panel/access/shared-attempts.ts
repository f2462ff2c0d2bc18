/**
 * Attempts to sign in, in the panel's database: all processes of the panel count together, by the database's clock.
 * Only hashes are stored.
 */
import {
  type AttemptStore,
  type Backoff,
  FORGET_MS,
  MAX_WAIT_MS,
  tooManyAttempts,
  waitMs,
} from '../../access/backoff.ts'
import { tokenHash } from '../../access/run-tokens.ts'
import type { PanelDatabase } from '../db/database.ts'

/** How long a name may sign in from an address where it did before, independent of others there. */
const PROVEN_MS = 90 * 86_400_000

export function sharedAttempts(database: PanelDatabase): AttemptStore {
  const { system, dialect } = database
  const hashOf = (key: string) => tokenHash(`proven ${key}`)
  return {
    failures: (name, free) => new SharedBackoff(database, name, free),
    isProven: async (key) => {
      const rows = await system.rows(
        `SELECT hash FROM sign_in_attempts WHERE hash = $1 AND keep_until > ${dialect.now}`,
        [hashOf(key)],
      )
      return rows.length > 0
    },
    prove: async (key) => {
      await system.rows(
        `INSERT INTO sign_in_attempts (hash, count, at, keep_until) VALUES ($1, 0, ${dialect.now}, ${dialect.now} + ${PROVEN_MS})
         ON CONFLICT (hash) DO UPDATE SET at = excluded.at, keep_until = excluded.keep_until`,
        [hashOf(key)],
      )
    },
  }
}

/** Deletes attempts that no longer count. */
export async function pruneAttempts({ system, dialect }: PanelDatabase): Promise<void> {
  await system.rows(`DELETE FROM sign_in_attempts WHERE keep_until <= ${dialect.now}`)
}

class SharedBackoff implements Backoff {
  readonly #database: PanelDatabase
  readonly #name: string
  readonly #free: number

  constructor(database: PanelDatabase, name: string, free: number) {
    this.#database = database
    this.#name = name
    this.#free = free
  }

  async begin(key: string): Promise<void> {
    const { system, dialect } = this.#database
    const { now } = dialect
    const values = [this.#hashOf(key)]
    const forgotten = `known.keep_until <= ${now}`
    // One statement: of concurrent attempts on all processes, each sees those before it.
    const counted = await system.rows(
      `INSERT INTO sign_in_attempts AS known (hash, count, at, keep_until) VALUES ($1, 1, ${now}, ${now} + ${FORGET_MS})
       ON CONFLICT (hash) DO UPDATE SET
         count = CASE WHEN ${forgotten} THEN 1 ELSE known.count + 1 END, at = excluded.at, keep_until = excluded.keep_until
       WHERE ${forgotten} OR ${now} - known.at >= ${this.#wait('known.count')}
       RETURNING count`,
      values,
    )
    if (counted.length > 0) return
    const [known] = await system.rows<{ ms: number }>(
      `SELECT at + ${this.#wait('count')} - ${now} AS ms FROM sign_in_attempts WHERE hash = $1`,
      values,
    )
    throw tooManyAttempts(Math.max(1, known?.ms ?? 1))
  }

  async takeBack(key: string): Promise<void> {
    await this.#database.system.rows('UPDATE sign_in_attempts SET count = count - 1 WHERE hash = $1 AND count > 0', [
      this.#hashOf(key),
    ])
  }

  async forget(key: string): Promise<void> {
    await this.#database.system.rows('DELETE FROM sign_in_attempts WHERE hash = $1', [this.#hashOf(key)])
  }

  #hashOf(key: string): string {
    return tokenHash(`${this.#name} ${key}`)
  }

  /** The wait after so many failures, as SQL. */
  #wait(count: string): string {
    const steps: string[] = []
    for (let over = 0; waitMs(over) < MAX_WAIT_MS; over++) {
      steps.push(`WHEN ${count} = ${this.#free + over} THEN ${waitMs(over)}`)
    }
    return `(CASE WHEN ${count} < ${this.#free} THEN 0 ${steps.join(' ')} ELSE ${MAX_WAIT_MS} END)`
  }
}
