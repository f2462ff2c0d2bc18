/** What happened over days: all agents ever started, and spending by day and model. */

import * as z from 'zod'
import { isoTime } from '../../core/clock.ts'
import { callIdsFrom, toAgentId } from '../../core/ids.ts'
import { toUsd } from '../../core/money.ts'
import { count, type Route, routesOf, type Shape, time, usd } from '../../http/route.ts'
import { instant } from '../../http/shared-shapes.ts'
import type { DaySpending, HistoryRow } from '../../state/history-view.ts'
import type { AgentView } from '../../state/snapshot.ts'
import type { Deps } from '../deps.ts'
import { agentState } from '../views.ts'

const DAY_MS = 86_400_000
const MAX_DAYS = 92

const agentRoute = routesOf('Agents')
const callRoute = routesOf('Calls')

export const historyRoutes = ({ state, store }: Pick<Deps, 'state' | 'store'>): Route[] => [
  agentRoute('GET /api/history', {
    role: 'viewer',
    summary: 'Lists all agents ever started, newest first, each with its result.',
    query: z.strictObject({
      named: z.string().optional().describe('Its name, the file of its script, or a prefix of its id.'),
      before: z.string().optional().describe('Only agents that started before this time, ISO 8601 UTC.'),
      from: instant.optional().describe('Only agents that started at this time or later.'),
      limit: z.coerce.number().int().min(1).max(500).default(100),
    }),
    reply: () =>
      z.object({ agents: z.array(historyRow()).describe('The last started_at is the `before` of the next page.') }),
    handle: ({ query: { named, before, from = '', limit } }) => {
      const present = Object.values(state.read().agents)
        .map(historyRowOf)
        .filter(
          (row) => (before === undefined || row.started_at < before) && (named === undefined || isNamed(row, named)),
        )
      const rows = [...present, ...state.pastAgents.history({ named, before, limit })]
        .filter(({ started_at }) => started_at >= from)
        .sort((a, b) => b.started_at.localeCompare(a.started_at))
      return { agents: rows.slice(0, limit) }
    },
  }),
  callRoute('GET /api/spending', {
    role: 'viewer',
    summary: 'Returns what calls cost, by day (UTC) and model.',
    query: z.strictObject({
      days: z.coerce.number().int().min(1).max(MAX_DAYS).default(14).describe('Up to today.'),
      agent_id: z.string().transform(toAgentId).optional(),
    }),
    reply: () => z.object({ days: z.array(daySpending()).describe('Oldest first; days without calls included.') }),
    handle: async ({ query: { days, agent_id: agentId } }) => {
      const today = Math.floor(state.now() / DAY_MS) * DAY_MS
      const result: DaySpending[] = []
      for (let at = today - (days - 1) * DAY_MS; at <= today; at += DAY_MS) {
        const costs = await store.callSearch.costs({ low: callIdsFrom(at), high: callIdsFrom(at + DAY_MS) }, agentId)
        const models = costs.map(({ name, calls, nanos }) => ({ name, calls, cost_usd: toUsd(nanos) }))
        result.push({ day: isoTime(at).slice(0, 10), models })
      }
      return { days: result }
    },
  }),
]

const isNamed = ({ id, name, script }: HistoryRow, named: string): boolean =>
  name === named || id.startsWith(named) || script.endsWith(`/${named}`)

const historyRowOf = (agent: AgentView): HistoryRow => {
  const { id, name, script, state, reason, started_at, ended_at, spent_usd, limit_usd, restarts, calls } = agent
  const { completed: calls_completed, failed: calls_failed } = calls
  return {
    id,
    name,
    script,
    state,
    reason,
    started_at,
    ended_at,
    spent_usd,
    limit_usd,
    restarts,
    calls_completed,
    calls_failed,
  }
}

const historyRow = () =>
  z.object({
    id: z.string(),
    name: z.string(),
    script: z.string(),
    state: agentState(),
    reason: z.string().nullable(),
    started_at: time(),
    ended_at: time().nullable(),
    spent_usd: usd(),
    limit_usd: usd(),
    restarts: count(),
    calls_completed: count(),
    calls_failed: count(),
  } satisfies Shape<HistoryRow>)

const daySpending = () =>
  z.object({
    day: z.string().describe('Such as 2026-01-02.'),
    models: z.array(z.object({ name: z.string().describe('Model, else service.'), calls: count(), cost_usd: usd() })),
  } satisfies Shape<DaySpending>)
