/**
 * How people name an agent: by its id, the beginning of it, its name, or the file of its script. Servers are asked by id
 * only, so that the audit of what was done names one agent for good.
 */
import { basename } from 'node:path'
import { CageError } from '../errors.ts'
import type { AgentState } from '../events.ts'
import type { AgentView } from '../state/snapshot.ts'
import type { Client } from './client.ts'
import { table } from './print.ts'

/** Of an argument that is one. */
export const AGENT_HELP = 'The agent: its id, the beginning of it, or its name'

/** Throws what `findAgentId` throws. */
export async function agentIdOf(client: Client, named: string): Promise<string> {
  const { agents } = await client.send<{ agents: Named[] }>('GET', '/api/agents')
  const id = findAgentId(agents, named)
  if (agents.some((agent) => agent.id === id)) return id
  const query = new URLSearchParams({ named, limit: '1000' })
  const past = await client.send<{ agents: Named[] }>('GET', `/api/agents/past?${query}`)
  return findAgentId(past.agents, named)
}

type Named = Pick<AgentView, 'id' | 'name' | 'script' | 'state' | 'started_at'>

/**
 * Of those with the same name one that runs comes first. A word that fits no agent is returned as it is: an agent of
 * long ago is known by its id only. Throws CageError `usage` when several fit.
 */
export function findAgentId(agents: readonly Named[], named: string): string {
  const called = agents.filter(({ name, script }) => name === named || basename(script) === named)
  const ranked = [
    agents.filter(({ id }) => id === named),
    called.filter(({ state }) => RUNNING.includes(state)),
    called,
    agents.filter(({ id }) => named !== '' && id.startsWith(named)),
  ]
  const meant = ranked.find((fitting) => fitting.length > 0) ?? []
  if (meant.length > 1) {
    const candidates = table(meant.map(({ id, name, state, started_at }) => [id, name, state, started_at]))
    throw new CageError('usage', [`"${named}" fits ${meant.length} agents`, ...candidates].join('\n'), {
      hint: 'name the one that is meant by its id',
    })
  }
  return meant[0]?.id ?? named
}

const RUNNING: readonly AgentState[] = ['starting', 'running', 'paused', 'stopping']
