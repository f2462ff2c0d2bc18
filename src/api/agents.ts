import type { Context } from 'hono'
import * as z from 'zod'
import type { Ledger } from '../budget/ledger.ts'
import { CageError } from '../core/errors.ts'
import { type AgentId, toAgentId } from '../core/ids.ts'
import type { PastAgentListed } from '../db/tables/past-agents.ts'
import { BUDGET_CHANGE } from '../http/body.ts'
import { named, type Route, routesOf, type Shape, time } from '../http/route.ts'
import { hasRun } from '../state/figures.ts'
import { type ShownFigures, shownFigures } from '../state/figures-text.ts'
import type { AgentView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import { type Amounts, amountsOf, amountsShape, type Budgets, budgetsOf, changedLimit, period } from './budgets.ts'
import type { Deps } from './deps.ts'
import { agentState, agentView, figuresView } from './views.ts'

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

export const budgetStatus = named('Budget', () =>
  z.object({ ...amountsShape(), used_percent: z.number(), warned: z.boolean() } satisfies Shape<BudgetStatus>),
)

export const agentStatus = named('AgentStatus', () =>
  z.object({
    agent: agentView(),
    figures: figuresView(),
    budget: budgetStatus(),
    budgets: z
      .array(z.object({ scope: z.enum(['part', 'agent', 'run', 'server']), ...amountsShape() }))
      .describe('Every budget that its calls count toward, its own first.'),
    period: period(),
  } satisfies Shape<AgentStatus>),
)

const pastAgent = named('PastAgent', () =>
  z.object({
    id: z.string(),
    name: z.string(),
    script: z.string(),
    state: agentState(),
    started_at: time(),
  } satisfies Shape<PastAgentListed>),
)

const route = routesOf('Agents')

/** Agents and their budgets; routes that need a supervisor are in `agent-control.ts`. */
export function agentRoutes(deps: Pick<Deps, 'state' | 'money'>): Route[] {
  const { state, money } = deps
  const { accounts } = money.ledger
  return [
    route('GET /api/agents', {
      role: 'viewer',
      summary: 'Lists all agents.',
      reply: () => z.object({ agents: z.array(agentView()) }),
      handle: () => ({ agents: Object.values(state.read().agents) }),
    }),
    route('GET /api/agents/past', {
      role: 'viewer',
      summary:
        'Lists earlier agents that GET /api/agents no longer includes, newest first. Their other routes still work.',
      query: PAST_AGENTS,
      reply: () =>
        z.object({
          agents: z.array(pastAgent()).describe('The last started_at is the `before` of the next page.'),
        }),
      handle: ({ query }) => ({ agents: state.pastAgents.list(query) }),
    }),
    route('GET /api/agents/:id', {
      role: 'viewer',
      summary: 'Returns an agent with its figures and budgets.',
      reply: agentStatus,
      errors: ['not_found'],
      handle: async ({ context }) => statusOf(deps, await loadedAgentId(deps, context)),
    }),
    route('GET /api/agents/:id/status', {
      role: 'viewer',
      summary: 'Same as GET /api/agents/{id}.',
      reply: agentStatus,
      errors: ['not_found'],
      handle: async ({ context }) => statusOf(deps, await loadedAgentId(deps, context)),
    }),
    route('GET /api/agents/:id/metrics', {
      role: 'viewer',
      summary: "Returns an agent's figures.",
      reply: figuresView,
      errors: ['not_found'],
      handle: ({ params }) => shownFigures(getAgent(state, toAgentId(params.id)), state.now()),
    }),
    route('PATCH /api/agents/:id/budget', {
      role: 'admin',
      action: 'budget.change',
      summary: "Sets or raises an agent's limit, effective from the next call.",
      body: BUDGET_CHANGE,
      reply: agentStatus,
      errors: ['not_found', 'invalid_amount'],
      handle: async ({ context, body, identity }) => {
        const id = await loadedAgentId(deps, context)
        accounts.setLimit(id, changedLimit(accounts.balance(id).limit, body), identity.name)
        return statusOf(deps, id)
      },
    }),
  ]
}

const PAST_AGENTS = z.object({
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
  { state, money: { ledger } }: Pick<Deps, 'state' | 'money'>,
  { req }: Context,
): Promise<AgentId> {
  const { id } = getAgent(state, toAgentId(req.param('id')!))
  await ledger.accounts.load(id)
  return id
}

export function statusOf({ state, money: { ledger } }: Pick<Deps, 'state' | 'money'>, id: AgentId): AgentStatus {
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
