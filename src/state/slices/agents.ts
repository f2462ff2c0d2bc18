import type { EventOf, RuntimeEvent } from '../../core/events.ts'
import { own } from '../own.ts'
import { MAX_AGENTS, type Snapshot } from '../snapshot.ts'
import { applyToLife, newAgent, restarted } from './agent-life.ts'
import { applyToSpending } from './agent-spending.ts'
import { applyToWork } from './agent-work.ts'

/** Also used for agents that are no longer in any snapshot. */
export function applyToAgents(agents: Snapshot['agents'], event: RuntimeEvent): Snapshot['agents'] {
  if (event.type === 'config.loaded' && event.data.safety) return guardedBy(agents, event.data.safety)
  if (!event.agent_id) return agents
  const agent = own(agents, event.agent_id)
  if (event.type === 'agent.started') {
    return agent
      ? { ...agents, [agent.id]: { ...agent, ...restarted(agent, event) } }
      : keepNewest({ ...agents, [event.agent_id]: newAgent(event.agent_id, event.at, event.data) })
  }
  if (!agent) return agents
  const changed = applyToSpending(applyToWork(applyToLife(agent, event), event), event)
  return changed === agent ? agents : { ...agents, [agent.id]: changed }
}

/** A new policy applies to every agent that has not ended. */
const guardedBy = (
  agents: Snapshot['agents'],
  { mode, detect }: NonNullable<EventOf<'config.loaded'>['data']['safety']>,
): Snapshot['agents'] =>
  Object.fromEntries(
    Object.entries(agents).map(([id, agent]) => [
      id,
      agent.ended_at === null ? { ...agent, safety_mode: mode, detect } : agent,
    ]),
  )

function keepNewest(agents: Snapshot['agents']): Snapshot['agents'] {
  const all = Object.values(agents)
  if (all.length <= MAX_AGENTS) return agents
  const oldestEnded = all.find((agent) => agent.ended_at !== null)
  if (!oldestEnded) return agents
  const { [oldestEnded.id]: _dropped, ...kept } = agents
  return kept
}
