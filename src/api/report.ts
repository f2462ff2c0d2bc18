/**
 * What an agent did and cost: as JSON, as a document to read and print, or each row of its ledger as CSV; and what all
 * of them cost together.
 */
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import * as z from 'zod'
import { type CostReport, costReport } from '../budget/report.ts'
import { isoTime } from '../clock.ts'
import type { Database } from '../db/database.ts'
import { incidentTable } from '../db/incidents.ts'
import type { EventType } from '../events.ts'
import { figures, limitsOf } from '../state/figures.ts'
import type { CircuitView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import { type AgentStatus, getAgent, statusOf } from './agents.ts'
import { readQuery } from './body.ts'
import { type CallParts, type ShownCall, shownCall } from './calls.ts'
import type { Env, Guard } from './guard.ts'
import { CALLS_SHOWN, type ReportFacts, reportPage, type TracedCall } from './report-page.ts'

/** What `/api/agents/:id/report` answers: its status, where its money went, and the circuits of all. */
export interface AgentReport extends AgentStatus {
  costs: CostReport
  circuits: CircuitView[]
}

const PAGE = 1_000

export interface ReportParts extends CallParts {
  database: Database
}

export function reportRoutes(parts: ReportParts, guard: Guard): Hono<Env> {
  const { state, calls } = parts
  return new Hono<Env>()
    .get('/api/report', guard('viewer'), async (context) =>
      context.json({ server_time: isoTime(state.now()), costs: await costReport(calls, {}) }),
    )
    .get('/api/agents/:id/report', guard('viewer'), async (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      const { format } = readQuery(context, REPORT_FORMAT)
      if (format === 'json') return context.json(await agentReport(parts, id))
      if (format === 'html') return context.html(reportPage(await reportFacts(parts, id)))
      context.header('content-type', 'text/csv; charset=utf-8')
      context.header('content-disposition', `attachment; filename="${id}.csv"`)
      return stream(context, async (body) => {
        await body.write(`${CSV_HEADER}\r\n`)
        for (let before: string | undefined; !body.aborted; ) {
          const page = calls.find({ agentId: id, limit: PAGE, before })
          await body.write(page.map((row) => `${csvLine(shownCall(row))}\r\n`).join(''))
          if (page.length < PAGE) return
          before = page.at(-1)!.id
        }
      })
    })
}

export const REPORT_FORMAT = z.object({ format: z.enum(['json', 'csv', 'html']).default('json') })

/** The status as it is when the ledger has been read. */
async function agentReport(parts: CallParts, id: string): Promise<AgentReport> {
  const costs = await costReport(parts.calls, { agentId: id })
  return { ...statusOf(parts, id), costs, circuits: Object.values(parts.state.read().circuits) }
}

/** Kinds of events that are moments in an agent's life, or in that of everything it uses. */
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

async function reportFacts(parts: ReportParts, id: string): Promise<ReportFacts> {
  const { state, calls, database } = parts
  const costs = await costReport(calls, { agentId: id })
  const agent = getAgent(state, id)
  const nowMs = state.now()
  const moments = MOMENTS.flatMap((type) => state.findEvents({ type, limit: MOMENTS_OF_A_KIND }))
    .filter((event) => event.agent_id === id || (event.agent_id === null && event.at >= agent.started_at))
    .sort((a, b) => a.seq - b.seq)
  const rows = calls.find({ agentId: id, limit: CALLS_SHOWN })
  return {
    at: isoTime(nowMs),
    agent,
    figures: figures(agent, nowMs),
    budgets: limitsOf(agent, state.read()),
    costs,
    circuits: Object.values(state.read().circuits),
    incidents: incidentTable(database).find({ agentId: id, limit: CALLS_SHOWN }),
    moments,
    calls: traced(rows.map(shownCall), state, id),
  }
}

/** Events are kept for a week, the ledger for good: of an older call only its row is told. */
function traced(calls: readonly ShownCall[], state: StateManager, agentId: string): TracedCall[] {
  const told = new Map<string, Pick<TracedCall, 'latency_ms' | 'redactions' | 'tier'>>()
  for (const type of ['call.completed', 'call.failed', 'service.called'] as const) {
    for (const event of state.findEvents({ type, agentId, limit: CALLS_SHOWN })) {
      const { call_id, latency_ms, redactions = null, tier = null } = event.data as TraceData
      told.set(call_id, { latency_ms, redactions, tier })
    }
  }
  return calls.map((call) => ({
    ...call,
    ...(told.get(call.id) ?? { latency_ms: null, redactions: null, tier: null }),
  }))
}

interface TraceData {
  call_id: string
  latency_ms: number
  redactions?: number
  tier?: number | null
}

const COLUMNS = [
  'id',
  'started_at',
  'ended_at',
  'kind',
  'target',
  'model',
  'state',
  'held_usd',
  'cost_usd',
  'estimated',
  'status',
  'code',
  'corrects',
  'reason',
] as const satisfies (keyof ShownCall)[]

export const CSV_HEADER = COLUMNS.join(',')

export const csvLine = (call: ShownCall): string => COLUMNS.map((name) => csvCell(call[name])).join(',')

/** RFC 4180; a text that a spreadsheet would run as a formula is kept a text, and an amount below zero an amount. */
function csvCell(value: ShownCall[(typeof COLUMNS)[number]]): string {
  const text = value === null ? '' : String(value)
  const isFormula = /^[=+\-@\t\r]/.test(text) && !/^-?\d+(\.\d+)?$/.test(text)
  const safe = isFormula ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
