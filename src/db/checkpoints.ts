import { eq, sql } from 'drizzle-orm'
import { CageError } from '../errors.ts'
import type { Database } from './database.ts'
import { checkpoints } from './schema.ts'

const MOST_BYTES = 1_048_576

export interface Checkpoint {
  version: number
  /** Any JSON. */
  data: unknown
}

export type CheckpointTable = ReturnType<typeof checkpointTable>

/** What agents saved to go on from, sealed, by the agent's name: there after a crash, a restart, another run. */
export function checkpointTable({ orm, seal, unseal }: Database) {
  return {
    /** Throws CageError `database_unusable` when it cannot be opened. */
    get(agentName: string): Checkpoint | undefined {
      const row = orm.select().from(checkpoints).where(eq(checkpoints.agent_name, agentName)).get()
      if (!row) return undefined
      const json = unseal(Buffer.from(row.data, 'base64'), aboutCheckpoint(agentName)).toString('utf8')
      return { version: row.version, data: JSON.parse(json) }
    },

    /**
     * Replaces the checkpoint and returns its version, counted from 1. `savedAt`: ISO 8601 UTC.
     * Throws CageError `body_too_large` above 1 MiB of JSON.
     */
    put(agentName: string, data: unknown, savedAt: string): number {
      const json = JSON.stringify(data)
      const bytes = Buffer.byteLength(json)
      if (bytes > MOST_BYTES) {
        throw new CageError('body_too_large', `the checkpoint has ${bytes} bytes, at most ${MOST_BYTES} are kept`, {
          facts: { bytes, most_bytes: MOST_BYTES },
          hint: 'save only what is needed to go on',
        })
      }
      const sealed = seal(Buffer.from(json), aboutCheckpoint(agentName)).toString('base64')
      const { version } = orm
        .insert(checkpoints)
        .values({ agent_name: agentName, version: 1, data: sealed, saved_at: savedAt })
        .onConflictDoUpdate({
          target: checkpoints.agent_name,
          set: { version: sql`${checkpoints.version} + 1`, data: sealed, saved_at: savedAt },
        })
        .returning({ version: checkpoints.version })
        .get()
      return version
    },

    forget: (agentName: string): void =>
      void orm.delete(checkpoints).where(eq(checkpoints.agent_name, agentName)).run(),
  }
}

const aboutCheckpoint = (agentName: string): string => `the checkpoint of ${agentName}`
