/** An agent's progress, the outcomes of its units of work, and findings in its texts. */
import type { RuntimeEvent } from '../../core/events.ts'
import { observe } from '../histogram.ts'
import type { AgentView } from '../snapshot.ts'
import { addBurnPoint, burnPoint } from './burn.ts'

/** A unit that was in progress while the agent was paused took no longer for it. */
function withoutPause({ pauses }: AgentView, at: string, latencyMs: number): number {
  if (!pauses) return latencyMs
  const end = Date.parse(at)
  const paused = Math.min(end, Date.parse(pauses.last.to)) - Math.max(end - latencyMs, Date.parse(pauses.last.from))
  return latencyMs - Math.max(0, paused)
}

export function applyToWork(agent: AgentView, event: RuntimeEvent): AgentView {
  switch (event.type) {
    case 'progress.updated': {
      const { done, total, unit, label } = event.data
      const progress = { done, total, unit, label, first_at: agent.progress?.first_at ?? event.at, last_at: event.at }
      const moved = done !== agent.progress?.done
      const burn = agent.progress ? agent.burn : agent.burn.slice(0, 1)
      return { ...agent, progress, burn: moved ? addBurnPoint(burn, burnPoint(agent, event.at, done)) : burn }
    }
    case 'unit.completed': {
      const { outcome, degraded, latency_ms } = event.data
      const { outcomes } = agent
      return {
        ...agent,
        outcomes: {
          ...outcomes,
          [outcome]: outcomes[outcome] + 1,
          degraded: outcomes.degraded + (degraded ? 1 : 0),
        },
        unit_latency:
          latency_ms === null
            ? agent.unit_latency
            : observe(agent.unit_latency, withoutPause(agent, event.at, latency_ms)),
      }
    }
    case 'pii.found': {
      const { pii_type, action, unit, count = 1 } = event.data
      return {
        ...agent,
        pii: { ...agent.pii, [pii_type]: (agent.pii[pii_type] ?? 0) + count },
        last_pii: { pii_type, action, at: event.at, unit },
      }
    }
    default:
      return agent
  }
}
