import { and, desc, eq, like, lt, or, sql } from 'drizzle-orm'
import type { AgentId } from '../../core/ids.ts'
import type { Usd } from '../../core/money.ts'
import type { Database } from '../database.ts'
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
    find: (query: PastAgentQuery): PastAgentListed[] => {
      const { id, name, script, state, started_at } = pastAgents
      return orm
        .select({ id, name, script, state, started_at })
        .from(pastAgents)
        .where(matches(query))
        .orderBy(desc(started_at))
        .limit(query.limit)
        .all()
    },

    /** Like `find`, with each agent's result. */
    history: (query: PastAgentQuery) => {
      const { id, name, script, state, started_at } = pastAgents
      return orm
        .select({ id, name, script, state, started_at, ...RESULT })
        .from(pastAgents)
        .where(matches(query))
        .orderBy(desc(started_at))
        .limit(query.limit)
        .all()
    },

    /** An agent's runs, the first one first. */
    runsOf: (agentId: AgentId) =>
      orm.select().from(runs).where(eq(runs.agent_id, agentId)).orderBy(runs.started_at).all(),
  }
}

function matches({ named, before }: PastAgentQuery) {
  const { id, name, script, started_at } = pastAgents
  // Ids and names contain no LIKE wildcards except "_", which matches any character.
  const fits = named === undefined ? undefined : or(eq(name, named), like(id, `${named}%`), like(script, `%/${named}`))
  return and(fits, before === undefined ? undefined : lt(started_at, before))
}

/** Fields of the view that a list shows. */
const RESULT = {
  reason: sql<string | null>`json_extract(view, '$.reason')`,
  ended_at: sql<string | null>`json_extract(view, '$.ended_at')`,
  spent_usd: sql<Usd>`json_extract(view, '$.spent_usd')`,
  limit_usd: sql<Usd>`json_extract(view, '$.limit_usd')`,
  restarts: sql<number>`json_extract(view, '$.restarts')`,
  calls_completed: sql<number>`json_extract(view, '$.calls.completed')`,
  calls_failed: sql<number>`json_extract(view, '$.calls.failed')`,
}
