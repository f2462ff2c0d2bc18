import { and, desc, eq, like, lt, or } from 'drizzle-orm'
import type { AgentId } from '../ids.ts'
import type { Database } from './database.ts'
import { pastAgents, runs } from './schema.ts'

/** `view`: the agent's last state. */
export type PastAgentRow = typeof pastAgents.$inferSelect
/** The columns that lists show. */
export type PastAgentListed = Pick<PastAgentRow, 'id' | 'name' | 'script' | 'state' | 'started_at'>

export interface PastAgentQuery {
  /** Its name, the file of its script, or a prefix of its id. (Default: all.) */
  named?: string | undefined
  /** Only agents that started before this, ISO 8601 UTC. */
  before?: string | undefined
  limit: number
}

export type PastAgentTable = ReturnType<typeof pastAgentTable>

export function pastAgentTable({ orm }: Pick<Database, 'orm'>) {
  return {
    get: (id: AgentId): PastAgentRow | undefined => orm.select().from(pastAgents).where(eq(pastAgents.id, id)).get(),

    put(row: PastAgentRow): void {
      orm.insert(pastAgents).values(row).onConflictDoUpdate({ target: pastAgents.id, set: row }).run()
    },

    /** The latest first. */
    find: ({ named, before, limit }: PastAgentQuery): PastAgentListed[] => {
      const { id, name, script, state, started_at } = pastAgents
      // Ids and names contain no LIKE wildcards except "_", which matches any character.
      const fits =
        named === undefined ? undefined : or(eq(name, named), like(id, `${named}%`), like(script, `%/${named}`))
      return orm
        .select({ id, name, script, state, started_at })
        .from(pastAgents)
        .where(and(fits, before === undefined ? undefined : lt(started_at, before)))
        .orderBy(desc(started_at))
        .limit(limit)
        .all()
    },

    /** An agent's runs, the first one first. */
    runsOf: (agentId: AgentId) =>
      orm.select().from(runs).where(eq(runs.agent_id, agentId)).orderBy(runs.started_at).all(),
  }
}
