import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { AgentSpec, Supervisor } from '../agents/supervisor.ts'
import type { Ledger } from '../budget/ledger.ts'
import { type Config, configSchema } from '../config/schema.ts'
import type { PastAgentListed } from '../db/past-agents.ts'
import { CageError } from '../errors.ts'
import type { AgentId } from '../ids.ts'
import { toUsd } from '../money.ts'
import { assertNoPii, type Redactor } from '../redaction/redactor.ts'
import { type Figures, figures, hasRun } from '../state/figures.ts'
import type { AgentView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import { amount, check, readJson, readQuery } from './body.ts'
import { type Amounts, amountsOf, BUDGET_CHANGE, type Budgets, budgetsOf, newLimit } from './budgets.ts'
import type { Env, Guard } from './guard.ts'

export interface AgentParts {
  state: StateManager
  supervisor: Supervisor
  ledger: Ledger
  /** What agents are guarded by. */
  safety: Config['safety']
  /** What the configuration says of agents. */
  agentSettings: Config['agent']
  logRedactor: Redactor
}

/** What `/api/agents/:id/status` answers: the agent as it is, and its figures as people read them. */
export interface AgentStatus {
  agent: AgentView
  figures: Figures
  /** The agent's own. */
  budget: BudgetStatus
  budgets: Budgets
  /** The day or month that limits are for; null when they are for ever. */
  period: { starts_at: string; ends_at: string } | null
}

export interface BudgetStatus extends Amounts {
  used_percent: number
  warned: boolean
}

export function agentRoutes(parts: AgentParts, guard: Guard): Hono<Env> {
  const { state, supervisor, ledger } = parts
  return new Hono<Env>()
    .get('/', guard('viewer'), (context) => context.json(allAgents(state)))
    .post('/', guard('admin', 'agent.start'), async (context) => {
      const { agentId } = await supervisor.start(newAgent(parts, await readJson(context, NEW_AGENT)))
      return context.json(statusOf(parts, agentId), 201)
    })
    .get('/past', guard('viewer'), (context) => context.json(listPastAgents(state, context)))
    .get('/:id', guard('viewer'), async (context) => context.json(statusOf(parts, await agentIdOf(parts, context))))
    .get('/:id/status', guard('viewer'), async (context) =>
      context.json(statusOf(parts, await agentIdOf(parts, context))),
    )
    .get('/:id/metrics', guard('viewer'), (context) =>
      context.json(figures(getAgent(state, context.req.param('id')), state.now())),
    )
    .post('/:id/stop', guard('admin', 'agent.stop'), async (context) => {
      const id = await agentIdOf(parts, context)
      await supervisor.stop(id, 'operator')
      return context.json(statusOf(parts, id))
    })
    .post('/:id/pause', guard('admin', 'agent.pause'), async (context) => {
      const id = await agentIdOf(parts, context)
      await supervisor.pause(id, context.get('identity').name)
      return context.json(statusOf(parts, id))
    })
    .post('/:id/resume', guard('admin', 'agent.resume'), async (context) => {
      const id = await agentIdOf(parts, context)
      await supervisor.resume(id, context.get('identity').name)
      return context.json(statusOf(parts, id))
    })
    .post('/:id/restart', guard('admin', 'agent.restart'), async (context) => {
      const id = await agentIdOf(parts, context)
      if (!Object.hasOwn(state.read().agents, id)) throw tooLongAgo(id)
      await supervisor.restart(id)
      return context.json(statusOf(parts, id))
    })
    .patch('/:id/budget', guard('admin', 'budget.change'), async (context) => {
      const id = await agentIdOf(parts, context)
      const change = await readJson(context, BUDGET_CHANGE)
      ledger.accounts.setLimit(id, newLimit(ledger.accounts.balance(id).limit, change), context.get('identity').name)
      return context.json(statusOf(parts, id))
    })
}

/**
 * Beside these: what the configuration may say under `agent`, by the same names. What is left out is as the server's
 * configuration says, but name, arguments and folder: those were meant for its own agent.
 */
export const NEW_AGENT = z.looseObject({
  script: z.string().min(1).max(4096).describe("Path of a script on the server's machine, best absolute."),
  budget_usd: amount.optional().describe('Hard limit. (Default: budget.limit_usd.)'),
  inherits: z
    .record(z.string().regex(/^[^=\0]+$/), z.string().regex(/^[^\0]*$/))
    .optional()
    .describe("The environment that it inherits, as a whole. (Default: the server's.)"),
  safety_mode: z
    .enum(['redact', 'block', 'warn'])
    .optional()
    .describe('What it has to be guarded by; the server refuses when it guards otherwise. (Default: as it guards.)'),
})

/** Throws CageError `bad_request`, or `conflict` when another safety mode is wanted than the server's. */
function newAgent(
  { safety, agentSettings, logRedactor }: AgentParts,
  { script, budget_usd, inherits, safety_mode: mode = safety.mode, ...chosen }: z.output<typeof NEW_AGENT>,
): AgentSpec {
  const defaults = { ...agentSettings, name: undefined, args: [], cwd: undefined }
  const settings = check(configSchema.shape.agent, { ...defaults, ...chosen }, 'the body')
  if (settings.name !== undefined) assertNoPii(settings.name, logRedactor)
  if (mode !== safety.mode) {
    throw new CageError('conflict', `the server runs with safety.mode "${safety.mode}", not "${mode}"`, {
      hint: 'leave the mode out, or run the agent with a server of its own (another --db and --port)',
    })
  }
  return { ...settings, script, inherits, limitUsd: budget_usd === undefined ? undefined : toUsd(budget_usd) }
}

export const PAST_AGENTS = z.object({
  named: z.string().optional().describe('Its name, the file of its script, or the beginning of its id.'),
  before: z.string().optional().describe('Only those that started earlier than this time, ISO 8601 UTC.'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

/** What an agent has spent would not be known to its next life. */
const tooLongAgo = (id: string): CageError =>
  new CageError('agent_not_running', `${id} ended too long ago to go on`, {
    facts: { agent_id: id },
    hint: 'start its script as another agent',
  })

/** What `/api/agents/past` answers. */
export const listPastAgents = (state: StateManager, context: Context): { agents: PastAgentListed[] } => ({
  agents: state.pastAgents.list(readQuery(context, PAST_AGENTS)),
})

/** What `/api/agents` answers. */
export const allAgents = (state: StateManager): { agents: AgentView[] } => ({
  agents: Object.values(state.read().agents),
})

/** Also one of long ago. Throws CageError `not_found`. */
export function getAgent(state: StateManager, id: string): AgentView {
  const agent = state.findAgent(id)
  if (!agent) throw new CageError('not_found', `there is no agent "${id}"`, { facts: { agent_id: id } })
  return agent
}

/** The agent that a route names, with its budget at hand. Throws CageError `not_found`. */
export async function agentIdOf(
  { state, ledger }: Pick<AgentParts, 'state' | 'ledger'>,
  { req }: Context,
): Promise<AgentId> {
  const { id } = getAgent(state, req.param('id')!)
  await ledger.accounts.load(id)
  return id
}

export function statusOf({ state, ledger }: Pick<AgentParts, 'state' | 'ledger'>, id: string): AgentStatus {
  const agent = getAgent(state, id)
  return {
    agent,
    figures: figures(agent, state.now()),
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
