/**
 * Finds an agent by its id, a prefix of the id, its name, or the file of its script. Requests carry the id only, so
 * that the audit names exactly one agent.
 */
import { basename } from 'node:path'
import { CageError } from '../../core/errors.ts'
import type { AgentState } from '../../core/events.ts'
import type { AgentView } from '../../state/snapshot.ts'
import { table } from '../output/print.ts'
import type { ApiClient } from './client.ts'

/** Describes an argument that names an agent. */
export const AGENT_HELP = 'The agent: its id, a unique prefix of it, or its name'

/** Returns the id of the agent that is meant, also of one that has left the snapshot. Throws what `findAgentId` throws. */
export async function resolveAgentId(client: ApiClient, named: string): Promise<string> {
  const { agents } = await client.send<{ agents: Named[] }>('GET', '/api/agents')
  const id = findAgentId(agents, named)
  if (agents.some((agent) => agent.id === id)) return id
  const query = new URLSearchParams({ named, limit: '1000' })
  const past = await client.send<{ agents: Named[] }>('GET', `/api/agents/past?${query}`)
  return findAgentId(past.agents, named)
}

type Named = Pick<AgentView, 'name' | 'script' | 'state' | 'started_at'> & { readonly id: string }

/**
 * Of agents with the same name a running one is preferred, otherwise the one that started last. A word that matches no agent is returned unchanged, because
 * an agent of long ago is known by its id only. Throws CageError `usage` when several match.
 */
export function findAgentId(agents: readonly Named[], named: string): string {
  const called = agents.filter(({ name, script }) => name === named || basename(script) === named)
  const ranked = [
    agents.filter(({ id }) => id === named),
    called.filter(({ state }) => RUNNING.includes(state)),
    latestOf(called),
    agents.filter(({ id }) => named !== '' && id.startsWith(named)),
  ]
  const meant = ranked.find((matching) => matching.length > 0) ?? []
  if (meant.length > 1) {
    const candidates = table(meant.map(({ id, name, state, started_at }) => [id, name, state, started_at]))
    throw new CageError('usage', [`"${named}" matches ${meant.length} agents`, ...candidates].join('\n'), {
      hint: 'use the id of the one you mean',
    })
  }
  return meant[0]?.id ?? named
}

const latestOf = (agents: readonly Named[]): readonly Named[] => {
  const latest = agents.reduce((found, { started_at }) => (started_at > found ? started_at : found), '')
  return agents.filter(({ started_at }) => started_at === latest)
}

const RUNNING: readonly AgentState[] = ['starting', 'running', 'paused', 'stopping']
