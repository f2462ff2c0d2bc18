import * as z from 'zod'
import { AGENT_KINDS } from '../agents/command.ts'
import type { AgentSpec } from '../agents/supervisor.ts'
import { configSchema } from '../config/schema.ts'
import { CageError } from '../core/errors.ts'
import type { AgentId } from '../core/ids.ts'
import { type Nanodollars, toUsd } from '../core/money.ts'
import { amount, check } from '../http/body.ts'
import { type Route, routesOf } from '../http/route.ts'
import { assertNamesNoPii } from '../redaction/redactor.ts'
import { agentStatus, getAgent, loadedAgentId, statusOf } from './agents.ts'
import { changedLimit } from './budgets.ts'
import type { Deps } from './deps.ts'

type AgentDeps = Pick<Deps, 'config' | 'state' | 'money' | 'safety' | 'supervisor'>

const route = routesOf('Agents')

/** Starts agents and acts on running ones. */
export function agentControlRoutes(deps: AgentDeps): Route[] {
  const { state, supervisor } = deps
  return [
    route('POST /api/agents', {
      role: 'admin',
      action: 'agent.start',
      summary:
        'Starts a script as an agent. Also accepts every key of the configuration section `agent`; the defaults come from the server.',
      body: NEW_AGENT,
      reply: agentStatus,
      statuses: [201],
      errors: START_ERRORS,
      handle: async ({ body }) => {
        const { agentId } = await supervisor.start(agentSpec(deps, body))
        return statusOf(deps, agentId)
      },
    }),
    route('POST /api/agents/:id/stop', {
      role: 'admin',
      action: 'agent.stop',
      summary: 'Stops an agent.',
      reply: agentStatus,
      errors: ['not_found', 'agent_not_running'],
      handle: async ({ context }) => {
        const id = await loadedAgentId(deps, context)
        await supervisor.stop(id, 'operator')
        return statusOf(deps, id)
      },
    }),
    route('POST /api/agents/:id/pause', {
      role: 'admin',
      action: 'agent.pause',
      summary: 'Pauses an agent. Its calls are refused until it resumes.',
      reply: agentStatus,
      errors: ['not_found', 'agent_not_running', 'conflict'],
      handle: async ({ context, identity }) => {
        const id = await loadedAgentId(deps, context)
        supervisor.pause(id, identity.name)
        return statusOf(deps, id)
      },
    }),
    route('POST /api/agents/:id/resume', {
      role: 'admin',
      action: 'agent.resume',
      summary:
        'Lets an agent continue: resumes a paused one, restarts one that was stopped or failed. With `add_usd`, raises its limit first.',
      body: z.strictObject({ add_usd: amount.optional().describe('Raises its limit by this.') }).optional(),
      reply: agentStatus,
      errors: ['not_found', 'agent_not_running', 'budget_exceeded', 'invalid_amount', ...START_ERRORS],
      handle: async ({ context, body, identity }) => {
        const id = await loadedAgentId(deps, context)
        await letContinue(deps, { id, added: body?.add_usd, by: identity.name })
        return statusOf(deps, id)
      },
    }),
    route('POST /api/agents/:id/restart', {
      role: 'admin',
      action: 'agent.restart',
      summary: 'Restarts an agent under the same id.',
      reply: agentStatus,
      errors: ['not_found', 'agent_not_running', 'budget_exceeded', ...START_ERRORS],
      handle: async ({ context }) => {
        const id = await loadedAgentId(deps, context)
        if (!Object.hasOwn(state.read().agents, id)) throw tooLongAgo(id)
        await supervisor.restart(id)
        return statusOf(deps, id)
      },
    }),
  ]
}

/** Changes nothing when it cannot continue. */
async function letContinue(
  { state, money: { ledger }, supervisor }: AgentDeps,
  { id, added, by }: { id: AgentId; added: Nanodollars | undefined; by: string },
): Promise<void> {
  const { state: present, exhausted } = getAgent(state, id)
  supervisor.requireOwn(id)
  if (present === 'stopping' || present === 'completed') throw cannotContinue(id, present)
  if (exhausted && added === undefined) throw needsMoney(id)
  if (added !== undefined) {
    ledger.accounts.setLimit(id, changedLimit(ledger.accounts.balance(id).limit, { add_usd: added }), by)
  }
  if (present === 'paused') supervisor.resume(id, by)
  else if (present !== 'running' && present !== 'starting') await supervisor.restart(id)
}

const cannotContinue = (id: AgentId, present: 'stopping' | 'completed'): CageError =>
  new CageError('conflict', `${id} ${present === 'stopping' ? 'is being stopped' : 'has completed its work'}`, {
    facts: { agent_id: id },
    hint: present === 'stopping' ? 'try again when it has ended' : `run it again with "iron-cage restart ${id}"`,
  })

const needsMoney = (id: AgentId): CageError =>
  new CageError('budget_exceeded', `${id} has spent its budget`, {
    facts: { agent_id: id },
    hint: `raise it: "iron-cage resume ${id} --add <usd>"`,
  })

/** Errors of a script that cannot be started. */
const START_ERRORS = [
  ...(['script_not_found', 'interpreter_not_found', 'not_executable', 'start_failed'] as const),
  ...(['sandbox_unavailable', 'invalid_config', 'conflict'] as const),
] as const

/**
 * The other fields are the configuration keys under `agent`, by the same names. Omitted ones come from the server's
 * configuration, except name, arguments and folder, which were meant for its own agent.
 */
const NEW_AGENT = z.looseObject({
  script: z
    .string()
    .min(1)
    .max(4096)
    .describe("Path of a script on the server's machine, best absolute; or a module or program."),
  kind: z.enum(AGENT_KINDS).default('script').describe('What `script` names. A program is searched for on PATH.'),
  deployment: z
    .strictObject({ strategy: z.string().min(1).max(80), script: z.string().min(1).max(4096) })
    .optional()
    .describe('For a program that serves an agent: the strategy that it is deployed with, and its own script.'),
  budget_usd: amount.optional().describe('Hard limit. (Default: budget.limit_usd.)'),
  inherits: z
    .record(z.string().regex(/^[^=\0]+$/), z.string().regex(/^[^\0]*$/))
    .optional()
    .describe("The environment that it inherits, as a whole. (Default: the server's.)"),
  safety_mode: z
    .enum(['redact', 'block', 'warn'])
    .optional()
    .describe("Required safety mode; refused if the server uses another. (Default: the server's.)"),
})

/** Throws CageError `bad_request`, or `conflict` for another safety mode than the server's. */
function agentSpec(
  { config, safety }: AgentDeps,
  {
    script,
    kind,
    deployment,
    budget_usd,
    inherits,
    safety_mode: mode = safety.mode,
    ...chosen
  }: z.output<typeof NEW_AGENT>,
): AgentSpec {
  const defaults = { ...config.agent, name: undefined, args: [], cwd: undefined }
  const settings = check(configSchema.shape.agent, { ...defaults, ...chosen }, 'the body')
  assertNamesNoPii(settings, safety.logs)
  if (mode !== safety.mode) {
    throw new CageError('conflict', `the server runs with safety.mode "${safety.mode}", not "${mode}"`, {
      hint: 'omit the mode, or run the agent with its own server (another --db and --port)',
    })
  }
  const limitUsd = budget_usd === undefined ? undefined : toUsd(budget_usd)
  return { ...settings, script, kind, deployment, inherits, limitUsd }
}

/** The next run would not know the agent's spending. */
const tooLongAgo = (id: string): CageError =>
  new CageError('agent_not_running', `${id} ended too long ago to be restarted`, {
    facts: { agent_id: id },
    hint: 'start its script as a new agent',
  })
