/**
 * What the lines of finished work and calls add on a terminal: the money spent so far, a change of the model, and a reply
 * that the budget has cut off.
 */
import type { EventOf, RuntimeEvent } from '../events.ts'
import type { AgentId, CallId } from '../ids.ts'
import { showUsd } from '../money.ts'
import { spentOfLimit } from '../state/figures.ts'
import type { Snapshot } from '../state/snapshot.ts'
import { showCount } from '../units.ts'

export class SpendingNotes {
  readonly #state: { read(): Pick<Snapshot, 'agents'> }
  /** The model of each agent's last call. */
  readonly #models = new Map<AgentId, string>()
  /** Downgrades that no line has named yet. */
  readonly #changes = new Map<AgentId, string>()
  /** The output limits that running calls got from their budget. */
  readonly #clamped = new Map<CallId, number>()

  constructor(state: { read(): Pick<Snapshot, 'agents'> }) {
    this.#state = state
  }

  /** Processes an event, also one that is not printed. */
  see(event: RuntimeEvent): void {
    if (event.type === 'call.completed' && event.agent_id) this.#seeCall(event.agent_id, event.data)
    if (event.type === 'call.clamped' && event.data.asked_tokens === null) {
      this.#clamped.set(event.data.call_id, event.data.max_tokens)
    }
    if (event.type === 'call.failed') this.#clamped.delete(event.data.call_id)
  }

  /** Returns what follows the message of an event: "" for most. */
  of(event: RuntimeEvent): string {
    const { type, agent_id } = event
    if (!agent_id || (type !== 'unit.completed' && type !== 'call.completed')) return ''
    const agent = this.#state.read().agents[agent_id]
    if (!agent) return ''
    const notes = [`${showUsd(spentOfLimit(agent))} of ${showUsd(agent.limit_usd)}`]
    const change = this.#changes.get(agent_id)
    this.#changes.delete(agent_id)
    if (change !== undefined) notes.push(change)
    if (event.type === 'call.completed') notes.push(...this.#cutOff(event.data))
    return notes.map((note) => ` · ${note}`).join('')
  }

  #cutOff({ call_id, output_tokens }: EventOf<'call.completed'>['data']): string[] {
    const limit = this.#clamped.get(call_id)
    this.#clamped.delete(call_id)
    if (limit === undefined || output_tokens < limit) return []
    return [`cut off at ${showCount(limit)} tokens, which a tenth of the remaining budget pays for`]
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
