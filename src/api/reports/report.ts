/**
 * An agent's report: as JSON, as a printable document, or its ledger rows as CSV; and the costs of all agents together.
 */

import * as z from 'zod'
import { type CostReport, costReport, type TagsOf } from '../../budget/report.ts'
import { isoTime } from '../../core/clock.ts'
import type { EventType, RuntimeEvent } from '../../core/events.ts'
import type { AgentId, CallId } from '../../core/ids.ts'
import { type Route, routesOf, time } from '../../http/route.ts'
import type { ShownCall } from '../../state/call-view.ts'
import { limitsOf } from '../../state/figures.ts'
import { shownFigures } from '../../state/figures-text.ts'
import type { CircuitView } from '../../state/snapshot.ts'
import type { StateManager } from '../../state/state-manager.ts'
import { type AgentStatus, agentStatus, getAgent, loadedAgentId, statusOf } from '../agents.ts'
import type { Deps } from '../deps.ts'
import { circuitView, costReportView } from '../views.ts'
import { shownCall } from './calls.ts'
import { streamCsv } from './calls-csv.ts'
import { CALLS_SHOWN, type ReportFacts, reportPage, type TracedCall } from './report-page.ts'

/** The response of `/api/agents/:id/report`: its status, its costs, and all circuits. */
export interface AgentReport extends AgentStatus {
  costs: CostReport
  circuits: CircuitView[]
}

export type ReportDeps = Pick<Deps, 'state' | 'store' | 'money'>

const agentRoute = routesOf('Agents')
const callRoute = routesOf('Calls')

export const reportRoutes = (deps: ReportDeps): Route[] => [
  callRoute('GET /api/report', {
    role: 'viewer',
    summary: 'Returns the total cost of all agents.',
    reply: () => z.object({ server_time: time(), costs: costReportView() }),
    handle: async () => ({
      server_time: isoTime(deps.state.now()),
      costs: await costReport(deps.store.calls, {}, tagsIn(deps)),
    }),
  }),
  agentRoute('GET /api/agents/:id/report', {
    role: 'viewer',
    summary: 'Returns a report on an agent as JSON, as a printable document, or its calls as CSV.',
    query: z.object({ format: z.enum(['json', 'csv', 'html']).default('json') }),
    reply: () => agentStatus().extend({ costs: costReportView(), circuits: z.array(circuitView()) }),
    types: ['text/html', 'text/csv'],
    errors: ['not_found'],
    handle: async ({ context, query: { format } }) => {
      const id = await loadedAgentId(deps, context)
      if (format === 'json') return agentReport(deps, id)
      if (format === 'html') return context.html(await reportHtml(deps, id))
      return streamCsv(context, id, (last, limit) => deps.store.calls.find({ agentId: id, limit, before: last?.id }))
    },
  }),
]

const tagsIn =
  ({ state }: Pick<ReportDeps, 'state'>): TagsOf =>
  (id) =>
    state.findAgent(id)?.tags

/** The printable document. */
export const reportHtml = async (deps: ReportDeps, id: AgentId) => reportPage(await reportFacts(deps, id))

/** The status at the time the ledger has been read. */
async function agentReport(deps: ReportDeps, id: AgentId): Promise<AgentReport> {
  const costs = await costReport(deps.store.calls, { agentId: id }, tagsIn(deps))
  return { ...statusOf(deps, id), costs, circuits: Object.values(deps.state.read().circuits) }
}

/** Types of events that are shown as moments of an agent, or of what all agents share. */
const MOMENTS = [
  'agent.started',
  'agent.exited',
  'agent.stopped',
  'agent.paused',
  'agent.resumed',
  'budget.warned',
  'budget.exhausted',
  'budget.raised',
  'circuit.opened',
  'circuit.closed',
  'pii.found',
  'secret.rotated',
  'secret.rolled_back',
] as const satisfies EventType[]
const MOMENTS_OF_A_KIND = 50

async function reportFacts(deps: ReportDeps, id: AgentId): Promise<ReportFacts> {
  const { state, store } = deps
  const costs = await costReport(store.calls, { agentId: id }, tagsIn(deps))
  const rows = (await store.calls.find({ agentId: id, limit: CALLS_SHOWN })).map(shownCall)
  const { moments, traces } = await readHistory(state, id, rows)
  const agent = getAgent(state, id)
  const nowMs = state.now()
  return {
    at: isoTime(nowMs),
    agent,
    figures: shownFigures(agent, nowMs),
    budgets: limitsOf(agent, state.read()),
    costs,
    circuits: Object.values(state.read().circuits),
    incidents: store.incidents.find({ agentId: id, limit: CALLS_SHOWN }),
    moments: moments.reverse(),
    // Events are kept for a week, the ledger indefinitely: for older calls only the row is shown.
    calls: rows.map((call) => ({ ...call, ...(traces.get(call.id) ?? NO_TRACE) })),
  }
}

const CALL_EVENTS = ['call.completed', 'call.failed', 'service.called'] as const satisfies EventType[]
type Trace = Pick<TracedCall, 'latency_ms' | 'redactions' | 'tier'>
const NO_TRACE: Trace = { latency_ms: null, redactions: null, tier: null }

/**
 * Reads from the newest event to the agent's first: its moments, newest first, and the events' details of these calls.
 */
async function readHistory(state: StateManager, id: AgentId, calls: readonly ShownCall[]) {
  const moments: RuntimeEvent[] = []
  const traces = new Map<string, Trace>()
  const wanted = new Set(calls.map((call) => call.id))
  const left = new Map<string, number>(MOMENTS.map((type) => [type, MOMENTS_OF_A_KIND]))
  const oldest = calls.at(-1)?.started_at ?? ''
  const types = new Set<string>([...MOMENTS, ...CALL_EVENTS])
  for await (const events of state.eventsSince(id, types)) {
    for (const event of events) {
      const places = left.get(event.type)
      if (places === undefined) {
        const { call_id, latency_ms, redactions = null, tier = null } = event.data as TraceData
        if (wanted.delete(call_id)) traces.set(call_id, { latency_ms, redactions, tier })
      } else if (places > 0 && (event.agent_id === id || event.agent_id === null)) {
        left.set(event.type, places - 1)
        moments.push(event)
      }
    }
    // Earlier events concern nothing that is shown.
    const isTraced = wanted.size === 0 || (events.at(-1)?.at ?? oldest) < oldest
    for (const type of [...MOMENTS.filter((kind) => left.get(kind) === 0), ...(isTraced ? CALL_EVENTS : [])]) {
      types.delete(type)
    }
  }
  return { moments, traces }
}

interface TraceData {
  call_id: CallId
  latency_ms: number
  redactions?: number
  tier?: number | null
}
