import type { AgentId, CallId } from '../../core/ids.ts'
import type { Database } from '../database.ts'
import type { callContents } from './schema.ts'

export type ContentRow = typeof callContents.$inferSelect

/** Rows that are removed in one statement. */
const REMOVED_AT_ONCE = 500

/** The kept contents of calls, sealed by the vault. */
export function contentTable({ orm: { $client: client } }: Database) {
  const get = client.prepare<[CallId], ContentRow>('SELECT * FROM call_contents WHERE call_id = ?')
  const has = client.prepare<[CallId]>('SELECT 1 FROM call_contents WHERE call_id = ?')
  const put = client.prepare('INSERT OR REPLACE INTO call_contents VALUES (:call_id, :agent_id, :at, :sealed)')
  const removed = `DELETE FROM call_contents WHERE call_id IN (SELECT call_id FROM call_contents`
  const prune = client.prepare<[string]>(`${removed} WHERE at < ? LIMIT ${REMOVED_AT_ONCE})`)
  const erase = client.prepare<{ agentId: AgentId | null }>(
    `${removed} WHERE :agentId IS NULL OR agent_id = :agentId LIMIT ${REMOVED_AT_ONCE})`,
  )
  const page = client.prepare<[string], ContentRow>(
    'SELECT * FROM call_contents WHERE call_id > ? ORDER BY call_id LIMIT 100',
  )
  return {
    get: (id: CallId): ContentRow | undefined => get.get(id),
    has: (id: CallId): boolean => has.get(id) !== undefined,
    put: (row: ContentRow): void => void put.run(row),
    /** Removes some of those from before this time; returns their number. */
    prune: (before: string): number => prune.run(before).changes,
    /** Removes some of an agent's, or of all; returns their number. */
    erase: (agentId: AgentId | null): number => erase.run({ agentId }).changes,
    /** All of them, by id. */
    *all(): Generator<ContentRow> {
      for (let last = ''; ; ) {
        const rows = page.all(last)
        if (rows.length === 0) return
        yield* rows
        last = rows.at(-1)!.call_id
      }
    },
  }
}
