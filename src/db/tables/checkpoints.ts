import { hash } from 'node:crypto'
import { and, eq, sql } from 'drizzle-orm'
import { CageError } from '../../core/errors.ts'
import type { Database } from '../database.ts'
import { checkpoints } from './schema.ts'

const MAX_BYTES = 1_048_576

export interface Checkpoint {
  version: number
  /** Any JSON. */
  data: unknown
}

/**
 * The owner of a checkpoint: two scripts of the same name have one each. `script`: its path; empty for clients without
 * one.
 */
export interface CheckpointOwner {
  name: string
  script: string
}

export type CheckpointTable = ReturnType<typeof checkpointTable>

/** Checkpoints that agents saved, sealed, by agent name and script: they survive a crash, a restart, and the run. */
export function checkpointTable({ orm, seal, unseal, transaction }: Database) {
  const isOf = ({ name, script }: CheckpointOwner) =>
    and(eq(checkpoints.agent_name, name), eq(checkpoints.script, script))
  const read = (owner: CheckpointOwner): { version: number; json: Buffer } | undefined => {
    const row = orm.select().from(checkpoints).where(isOf(owner)).get()
    return row && { version: row.version, json: unseal(Buffer.from(row.data, 'base64'), aboutCheckpoint(owner.name)) }
  }

  return {
    /** Throws CageError `database_unusable` when it cannot be opened. */
    get(owner: CheckpointOwner): Checkpoint | undefined {
      const found = read(owner)
      return found && { version: found.version, data: JSON.parse(found.json.toString('utf8')) }
    },

    /** A hash of the content; undefined when there is none or it cannot be read. */
    digest(owner: CheckpointOwner): string | undefined {
      try {
        const found = read(owner)
        return found && hash('sha256', found.json)
      } catch {
        return undefined
      }
    },

    /**
     * Replaces the checkpoint and returns its version, counted from 1. `savedAt`: ISO 8601 UTC.
     * Throws CageError `body_too_large` above 1 MiB of JSON.
     */
    put(owner: CheckpointOwner, data: unknown, savedAt: string): number {
      const json = JSON.stringify(data)
      const bytes = Buffer.byteLength(json)
      if (bytes > MAX_BYTES) {
        throw new CageError(
          'body_too_large',
          `the checkpoint has ${bytes} bytes, more than the maximum of ${MAX_BYTES}`,
          {
            facts: { bytes, max_bytes: MAX_BYTES },
            hint: 'save only what is needed to resume',
          },
        )
      }
      const { name, script } = owner
      const sealed = seal(Buffer.from(json), aboutCheckpoint(name)).toString('base64')
      // In a transaction: SQLite does not truncate its write-ahead log after a single statement that returns a row.
      return transaction(
        () =>
          orm
            .insert(checkpoints)
            .values({ agent_name: name, script, version: 1, data: sealed, saved_at: savedAt })
            .onConflictDoUpdate({
              target: [checkpoints.agent_name, checkpoints.script],
              set: { version: sql`${checkpoints.version} + 1`, data: sealed, saved_at: savedAt },
            })
            .returning({ version: checkpoints.version })
            .get().version,
      )
    },

    /** Without a script: those of all scripts of that name. */
    forget({ name, script }: Partial<CheckpointOwner> & Pick<CheckpointOwner, 'name'>): void {
      const which = script === undefined ? eq(checkpoints.agent_name, name) : isOf({ name, script })
      orm.delete(checkpoints).where(which).run()
    },
  }
}

const aboutCheckpoint = (agentName: string): string => `the checkpoint of ${agentName}`
