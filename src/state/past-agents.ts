/**
 * Agents that no longer fit into the snapshot. Each keeps its last state, and later records about it (a correction, a
 * resolved call) change it as it would in the snapshot. They are written together with the snapshot that omits them, so
 * that after a kill the replayed events find either both or neither.
 */

import type { RuntimeEvent } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import { add, toUsd } from '../core/money.ts'
import type { Store } from '../db/store.ts'
import type { PastAgentListed, PastAgentQuery, PastAgentTable } from '../db/tables/past-agents.ts'
import type { HistoryRow } from './history-view.ts'
import { newAgent } from './slices/agent-life.ts'
import { applyToAgents } from './slices/agents.ts'
import type { AgentView, Snapshot } from './snapshot.ts'

interface PastAgent {
  /** The last event included in the view. */
  seq: number
  view: AgentView
}

export class PastAgents {
  readonly #store: Store
  readonly #table: PastAgentTable
  /** Not written yet. */
  readonly #changed = new Map<string, PastAgent>()

  constructor(store: Store) {
    this.#store = store
    this.#table = store.pastAgents
  }

  get(id: AgentId): AgentView | undefined {
    return this.#find(id)?.view ?? this.#rebuild(id)
  }

  /** The latest first, including those that are not written yet. */
  list(query: PastAgentQuery): PastAgentListed[] {
    this.write()
    return this.#table.find(query)
  }

  /** Like `list`, with each agent's result. */
  history(query: PastAgentQuery): HistoryRow[] {
    this.write()
    return this.#table.history(query)
  }

  /** Applies an event to agents that are not, or no longer, in the snapshot. */
  note(before: Snapshot, { agents }: Snapshot, event: RuntimeEvent): void {
    const { agent_id: id, seq } = event
    if (event.type === 'agent.started') {
      for (const [each, view] of Object.entries(before.agents)) {
        if (!Object.hasOwn(agents, each)) this.#changed.set(each, { seq, view })
      }
    }
    if (id === null || Object.hasOwn(agents, id)) return
    const past = this.#find(id)
    if (!past || past.seq >= seq) return
    const view = applyToAgents({ [id]: past.view }, event)[id]!
    if (view !== past.view) this.#changed.set(id, { seq, view })
  }

  /** Writes the changes; must be called in the transaction that stores the snapshot. */
  write(): void {
    for (const { seq, view } of this.#changed.values()) {
      const { id, name, script, state, started_at } = view
      this.#table.put({ id, name, script, state, started_at, seq, view })
    }
  }

  /** Must be called after that transaction is committed. */
  written(): void {
    this.#changed.clear()
  }

  #find(id: AgentId): PastAgent | undefined {
    const row = this.#changed.get(id) ?? this.#table.get(id)
    return row && { seq: row.seq, view: row.view as AgentView }
  }

  /** Rebuilds an agent that left the snapshot before this table existed, from its runs and the ledger. */
  #rebuild(id: AgentId): AgentView | undefined {
    const runs = this.#table.runsOf(id)
    const budget = this.#store.budgets.find(id)
    const [first, last] = [runs[0], runs.at(-1)]
    if (!first || !last || !budget) return undefined
    const { name, script, environment, pid } = first
    const { spent, spentBefore } = this.#store.calls.totals({ agentId: id })
    const isDone = last.exit_code === 0
    const started = {
      run_id: last.id,
      name,
      script,
      environment,
      pid,
      restart: 0,
      limit_usd: toUsd(budget.limit_nanos),
      safety_mode: 'redact',
      detect: [],
    } as const
    return {
      ...newAgent(id, first.started_at, { ...started, detect: [] }),
      state: isDone ? 'completed' : 'failed',
      pid: null,
      exit_code: last.exit_code,
      signal: last.signal,
      restarts: last.restart,
      ended_at: last.ended_at ?? last.started_at,
      spent_usd: toUsd(add(spent, spentBefore)),
    }
  }
}
