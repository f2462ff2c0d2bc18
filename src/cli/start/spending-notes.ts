/**
 * Additions to the lines of finished work and calls on a terminal: the money spent so far, and a change of the model.
 */
import type { EventOf, RuntimeEvent } from '../../core/events.ts'
import type { AgentId } from '../../core/ids.ts'
import { showUsd } from '../../core/money.ts'
import { spentOfLimit } from '../../state/figures.ts'
import type { Snapshot } from '../../state/snapshot.ts'

export class SpendingNotes {
  readonly #state: { read(): Pick<Snapshot, 'agents'> }
  /** The model of each agent's last call. */
  readonly #models = new Map<AgentId, string>()
  /** Downgrades that no line has named yet. */
  readonly #changes = new Map<AgentId, string>()

  constructor(state: { read(): Pick<Snapshot, 'agents'> }) {
    this.#state = state
  }

  /** Processes an event, also one that is not printed. */
  see(event: RuntimeEvent): void {
    if (event.type === 'call.completed' && event.agent_id) this.#seeCall(event.agent_id, event.data)
  }

  /** Returns what follows the message of an event: "" for most. */
  of({ type, agent_id }: RuntimeEvent): string {
    if (!agent_id || (type !== 'unit.completed' && type !== 'call.completed')) return ''
    const agent = this.#state.read().agents[agent_id]
    if (!agent) return ''
    const change = this.#changes.get(agent_id)
    this.#changes.delete(agent_id)
    const total = ` · ${showUsd(spentOfLimit(agent))} of ${showUsd(agent.limit_usd)}`
    return change === undefined ? total : `${total} · ${change}`
  }

  /** A call has a baseline when its agent has changed to a cheaper model. */
  #seeCall(agentId: AgentId, { model, baseline_usd }: EventOf<'call.completed'>['data']): void {
    const before = this.#models.get(agentId)
    if (before !== undefined && before !== model && baseline_usd !== null) {
      this.#changes.set(agentId, `now on ${model} instead of ${before}`)
    }
    this.#models.set(agentId, model)
  }
}
