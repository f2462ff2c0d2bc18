/** What an agent did and cost, as JSON or with each row of its ledger as CSV; and what all of them cost together. */
import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import * as z from 'zod'
import { type CostReport, costReport } from '../budget/report.ts'
import { isoTime } from '../clock.ts'
import { type AgentStatus, getAgent, statusOf } from './agents.ts'
import { readQuery } from './body.ts'
import { type CallParts, type ShownCall, shownCall } from './calls.ts'
import type { Env, Guard } from './guard.ts'

/** What `/api/agents/:id/report` answers: its status and where its money went. */
export interface AgentReport extends AgentStatus {
  costs: CostReport
}

const PAGE = 1_000

export function reportRoutes(parts: CallParts, guard: Guard): Hono<Env> {
  const { state, calls } = parts
  return new Hono<Env>()
    .get('/api/report', guard('viewer'), async (context) =>
      context.json({ server_time: isoTime(state.now()), costs: await costReport(calls, {}) }),
    )
    .get('/api/agents/:id/report', guard('viewer'), async (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      const { format } = readQuery(context, FORMAT)
      if (format === 'json') return context.json(await agentReport(parts, id))
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

const FORMAT = z.object({ format: z.enum(['json', 'csv']).default('json') })

/** The status as it is when the ledger has been read. */
async function agentReport(parts: CallParts, id: string): Promise<AgentReport> {
  const costs = await costReport(parts.calls, { agentId: id })
  return { ...statusOf(parts, id), costs }
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
