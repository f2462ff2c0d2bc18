/** Many agents with much behind them: real events through the StateManager. */
import type { NewEvent } from '../../src/core/events.ts'
import { type AgentId, newAgentId, newIncidentId, newRunId } from '../../src/core/ids.ts'
import { nanodollars, usd } from '../../src/core/money.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import { agentStarted, budgetWarned } from './events.ts'

const NAMES = ['lead-qualifier', 'invoice-reader', 'support-triage', 'nightly-summarizer-of-meetings', 'crm-sync']
const LINE = 'fetched the profile of GlobalTech Industries and wrote a summary of 480 words to summaries/globaltech.md'
const BATCH = 500

/**
 * Adds agents that run, have ended, crashed, leaked or nearly spent their limit, and fills the event log up to so many
 * events. Returns the agents' ids, oldest first.
 */
export function addCrowd(
  { state, ledger }: Pick<RuntimeParts, 'state' | 'ledger'>,
  size: { agents: number; events: number },
): AgentId[] {
  const ids: AgentId[] = []
  for (let index = 0; index < size.agents; index++) {
    const name = NAMES[index % NAMES.length]!
    const id = newAgentId(name)
    ids.push(id)
    ledger.accounts.openAccount(id, nanodollars(50e9))
    const run_id = newRunId()
    const about = { agent_id: id, level: 'INFO' } as const
    const data = { ...agentStarted, run_id, name, script: `/agents/${name}.py`, limit_usd: usd('50') }
    state.record({ ...about, type: 'agent.started', level: 'OK', message: `${name} started, pid 4711`, data })
    state.recordAll(workOf(index).map((event) => ({ event: { ...about, ...event } as NewEvent })))
    if (index % 7 === 3) state.record(leaked(id))
    if (index % 13 === 5) state.record({ ...budgetWarned, agent_id: id })
    const ended = ENDINGS[index % 5]
    if (ended && index > 0) {
      const reason = ended === 'completed' ? 'exit code 0' : 'exit code 1, five times in 60 s'
      const exit = { run_id, exit_code: 1, signal: null, state: ended, reason, restart_in_ms: null }
      state.record({ ...about, type: 'agent.exited', level: 'ERROR', message: `${name} ended: ${reason}`, data: exit })
    }
  }
  for (let line = state.read().seq; line < size.events; line += BATCH) {
    const lines = Array.from({ length: Math.min(BATCH, size.events - line) }, (_, offset) => line + offset)
    state.recordAll(lines.map((number) => ({ event: output(ids[number % ids.length]!, `${number} ${LINE}`) })))
  }
  return ids
}

function leaked(agent_id: AgentId): NewEvent {
  const place = { place: 'reply', call_id: null, value_hash: 'hash', start: 0, end: 5, unit: 'lead 67' } as const
  const data = { ...place, incident_id: newIncidentId(), pii_type: 'email', risk: 'HIGH', action: 'redact' } as const
  return {
    type: 'pii.found',
    level: 'CRIT',
    agent_id,
    message: 'EMAIL in reply of lead 67 → [EMAIL_REDACTED]',
    data,
  }
}

const ENDINGS: readonly (false | 'completed' | 'crash_loop')[] = [false, false, false, 'completed', 'crash_loop']

/** An agent's work, by its number: the first has finished. */
function workOf(index: number): object[] {
  const done = index === 0 ? 100 : index % 100
  const units = Array.from({ length: Math.min(done, 3) }, (_, unit) => ({
    type: 'unit.completed',
    message: `lead ${unit + 1} done`,
    data: { outcome: 'succeeded', degraded: unit === 2, unit: 'lead', label: null, latency_ms: 2_100, reason: null },
  }))
  const data = { done, total: 100, unit: 'leads', label: 'GlobalTech Industries' }
  return [...units, { type: 'progress.updated', message: `${done} of 100 leads`, data }]
}

const output = (agent_id: AgentId, text: string): NewEvent => ({
  type: 'agent.output',
  level: 'INFO',
  agent_id,
  message: text,
  data: { stream: 'stdout', text },
})
