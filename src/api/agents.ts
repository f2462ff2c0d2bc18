import { Hono } from 'hono'
import * as z from 'zod'
import type { Supervisor } from '../agents/supervisor.ts'
import type { Ledger } from '../budget/ledger.ts'
import type { CallTable } from '../db/calls.ts'
import { CageError } from '../errors.ts'
import { type Nanodollars, parseAmount, toUsd } from '../money.ts'
import { type Figures, figures } from '../state/figures.ts'
import type { AgentView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import { amount, readJson, readQuery } from './body.ts'
import type { Env, Guard } from './guard.ts'

export interface AgentParts {
  state: StateManager
  supervisor: Supervisor
  ledger: Ledger
  calls: CallTable
}

/** What `/api/agents/:id/status` answers: the agent as it is, and its figures as people read them. */
export interface AgentStatus {
  agent: AgentView
  figures: Figures
  budget: BudgetStatus
}

export interface BudgetStatus {
  limit_usd: string
  spent_usd: string
  held_usd: string
  remaining_usd: string
  used_percent: number
  warned: boolean
}

export function agentRoutes(parts: AgentParts, guard: Guard): Hono<Env> {
  const { state, supervisor, ledger, calls } = parts
  return new Hono<Env>()
    .get('/', guard('viewer'), (context) => context.json({ agents: Object.values(state.read().agents) }))
    .get('/:id', guard('viewer'), (context) => context.json(statusOf(parts, context.req.param('id'))))
    .get('/:id/status', guard('viewer'), (context) => context.json(statusOf(parts, context.req.param('id'))))
    .get('/:id/metrics', guard('viewer'), (context) =>
      context.json(figures(getAgent(state, context.req.param('id')), state.now())),
    )
    .get('/:id/calls', guard('viewer'), (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      const { before, limit } = readQuery(context, PAGE)
      const rows = calls.find({ agentId: id, limit, before })
      return context.json({
        calls: rows.map(({ held_nanos, cost_nanos, ...row }) => ({
          ...row,
          held_usd: toUsd(held_nanos),
          cost_usd: toUsd(cost_nanos),
        })),
      })
    })
    .post('/:id/stop', guard('admin', 'agent.stop'), async (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      await supervisor.stop(id, 'operator')
      return context.json(statusOf(parts, id))
    })
    .post('/:id/pause', guard('admin', 'agent.pause'), async (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      await supervisor.pause(id, context.get('identity').name)
      return context.json(statusOf(parts, id))
    })
    .post('/:id/resume', guard('admin', 'agent.resume'), async (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      await supervisor.resume(id, context.get('identity').name)
      return context.json(statusOf(parts, id))
    })
    .post('/:id/restart', guard('admin', 'agent.restart'), async (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      await supervisor.restart(id)
      return context.json(statusOf(parts, id))
    })
    .patch('/:id/budget', guard('admin', 'budget.change'), async (context) => {
      const { id } = getAgent(state, context.req.param('id'))
      const change = await readJson(context, BUDGET_CHANGE)
      ledger.setLimit(id, newLimit(ledger, id, change), context.get('identity').name)
      return context.json(statusOf(parts, id))
    })
}

const PAGE = z.object({ before: z.string().optional(), limit: z.coerce.number().int().min(1).max(1000).default(100) })

const BUDGET_CHANGE = z.union([z.strictObject({ limit_usd: amount }), z.strictObject({ add_usd: amount })], {
  error: 'expected { "limit_usd": "75" } or { "add_usd": "25" }',
})

function newLimit(ledger: Ledger, agentId: string, change: z.output<typeof BUDGET_CHANGE>): Nanodollars {
  if ('limit_usd' in change) return change.limit_usd
  const sum = toUsd(ledger.balance(agentId).limit + change.add_usd)
  const limit = parseAmount(sum)
  if (limit !== undefined) return limit
  throw new CageError('invalid_amount', `a limit of $${sum} is more than can be counted`, { facts: { limit_usd: sum } })
}

/** Throws CageError `not_found`. */
export function getAgent(state: StateManager, id: string): AgentView {
  const { agents } = state.read()
  const agent = Object.hasOwn(agents, id) ? agents[id] : undefined
  if (!agent) throw new CageError('not_found', `there is no agent "${id}"`, { facts: { agent_id: id } })
  return agent
}

export function statusOf({ state, ledger }: Pick<AgentParts, 'state' | 'ledger'>, id: string): AgentStatus {
  const agent = getAgent(state, id)
  return { agent, figures: figures(agent, state.now()), budget: budgetOf(ledger, agent) }
}

export function budgetOf(ledger: Ledger, agent: AgentView): BudgetStatus {
  const { limit, spent, held } = ledger.balance(agent.id)
  return {
    limit_usd: toUsd(limit),
    spent_usd: toUsd(spent),
    held_usd: toUsd(held),
    remaining_usd: toUsd(Math.max(0, limit - spent - held)),
    used_percent: limit > 0 ? (spent / limit) * 100 : 100,
    warned: agent.warned,
  }
}
