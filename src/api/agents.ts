import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { Ledger } from '../budget/ledger.ts'
import { CageError } from '../errors.ts'
import { type AgentId, toAgentId } from '../ids.ts'
import { hasRun } from '../state/figures.ts'
import { type ShownFigures, shownFigures } from '../state/figures-text.ts'
import type { AgentView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import { readJson, readQuery } from './body.ts'
import { type Amounts, amountsOf, BUDGET_CHANGE, type Budgets, budgetsOf, changedLimit } from './budgets.ts'
import type { Env, Guard } from './guard.ts'
import type { Rooms } from './rooms.ts'

/** The response of `/api/agents/:id/status`: the agent and its figures as shown to people. */
export interface AgentStatus {
  agent: AgentView
  figures: ShownFigures
  /** The agent's own. */
  budget: BudgetStatus
  budgets: Budgets
  /** The current budget period; null if limits never reset. */
  period: { starts_at: string; ends_at: string } | null
}

export interface BudgetStatus extends Amounts {
  used_percent: number
  warned: boolean
}

/** Agents and their budgets, below /api/agents; routes that need a supervisor are in `agent-control.ts`. */
export function agentRoutes(rooms: Pick<Rooms, 'state' | 'money'>, guard: Guard): Hono<Env> {
  const {
    state,
    money: { ledger },
  } = rooms
  return new Hono<Env>()
    .get('/', guard('viewer'), (context) => context.json({ agents: Object.values(state.read().agents) }))
    .get('/past', guard('viewer'), (context) =>
      context.json({ agents: state.pastAgents.list(readQuery(context, PAST_AGENTS)) }),
    )
    .get('/:id', guard('viewer'), async (context) => context.json(statusOf(rooms, await loadedAgentId(rooms, context))))
    .get('/:id/status', guard('viewer'), async (context) =>
      context.json(statusOf(rooms, await loadedAgentId(rooms, context))),
    )
    .get('/:id/metrics', guard('viewer'), (context) =>
      context.json(shownFigures(getAgent(state, toAgentId(context.req.param('id'))), state.now())),
    )
    .patch('/:id/budget', guard('admin', 'budget.change'), async (context) => {
      const id = await loadedAgentId(rooms, context)
      const change = await readJson(context, BUDGET_CHANGE)
      ledger.accounts.setLimit(
        id,
        changedLimit(ledger.accounts.balance(id).limit, change),
        context.get('identity').name,
      )
      return context.json(statusOf(rooms, id))
    })
}

export const PAST_AGENTS = z.object({
  named: z.string().optional().describe('Its name, the file of its script, or a prefix of its id.'),
  before: z.string().optional().describe('Only agents that started before this time, ISO 8601 UTC.'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

/** Includes past agents. Throws CageError `not_found`. */
export function getAgent(state: StateManager, id: AgentId): AgentView {
  const agent = state.findAgent(id)
  if (!agent) throw new CageError('not_found', `there is no agent "${id}"`, { facts: { agent_id: id } })
  return agent
}

/** Returns the agent of a route and makes sure its budget is loaded. Throws CageError `not_found`. */
export async function loadedAgentId(
  { state, money: { ledger } }: Pick<Rooms, 'state' | 'money'>,
  { req }: Context,
): Promise<AgentId> {
  const { id } = getAgent(state, toAgentId(req.param('id')!))
  await ledger.accounts.load(id)
  return id
}

export function statusOf({ state, money: { ledger } }: Pick<Rooms, 'state' | 'money'>, id: AgentId): AgentStatus {
  const agent = getAgent(state, id)
  return {
    agent,
    figures: shownFigures(agent, state.now()),
    budget: budgetOf(ledger, agent),
    budgets: budgetsOf(ledger.accounts, { agentId: id, runId: hasRun(agent, state.read()) ? agent.run_id : null }),
    period: ledger.accounts.period(),
  }
}

export function budgetOf(ledger: Ledger, agent: AgentView): BudgetStatus {
  const balance = ledger.accounts.balance(agent.id)
  const { limit, spent } = balance
  return {
    ...amountsOf(balance),
    used_percent: limit > 0 ? (spent / limit) * 100 : 100,
    warned: agent.warned,
  }
}
