import { Hono } from 'hono'
import * as z from 'zod'
import type { AgentSpec } from '../agents/supervisor.ts'
import { configSchema } from '../config/schema.ts'
import { CageError } from '../errors.ts'
import { toUsd } from '../money.ts'
import { assertNoPii } from '../redaction/redactor.ts'
import { loadedAgentId, statusOf } from './agents.ts'
import { amount, check, readJson } from './body.ts'
import type { Env, Guard } from './guard.ts'
import type { Rooms } from './rooms.ts'

type AgentRooms = Pick<Rooms, 'config' | 'state' | 'money' | 'safety' | 'supervisor'>

/** Starts agents and acts on running ones, below /api/agents. */
export function agentControlRoutes(rooms: AgentRooms, guard: Guard): Hono<Env> {
  const { state, supervisor } = rooms
  return new Hono<Env>()
    .post('/', guard('admin', 'agent.start'), async (context) => {
      const { agentId } = await supervisor.start(agentSpec(rooms, await readJson(context, NEW_AGENT)))
      return context.json(statusOf(rooms, agentId), 201)
    })
    .post('/:id/stop', guard('admin', 'agent.stop'), async (context) => {
      const id = await loadedAgentId(rooms, context)
      await supervisor.stop(id, 'operator')
      return context.json(statusOf(rooms, id))
    })
    .post('/:id/pause', guard('admin', 'agent.pause'), async (context) => {
      const id = await loadedAgentId(rooms, context)
      await supervisor.pause(id, context.get('identity').name)
      return context.json(statusOf(rooms, id))
    })
    .post('/:id/resume', guard('admin', 'agent.resume'), async (context) => {
      const id = await loadedAgentId(rooms, context)
      await supervisor.resume(id, context.get('identity').name)
      return context.json(statusOf(rooms, id))
    })
    .post('/:id/restart', guard('admin', 'agent.restart'), async (context) => {
      const id = await loadedAgentId(rooms, context)
      if (!Object.hasOwn(state.read().agents, id)) throw tooLongAgo(id)
      await supervisor.restart(id)
      return context.json(statusOf(rooms, id))
    })
}

/**
 * The other fields are the configuration keys under `agent`, by the same names. Omitted ones come from the server's
 * configuration, except name, arguments and folder, which were meant for its own agent.
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
    .describe("Required safety mode; refused if the server uses another. (Default: the server's.)"),
})

/** Throws CageError `bad_request`, or `conflict` for another safety mode than the server's. */
function agentSpec(
  { config, safety }: AgentRooms,
  { script, budget_usd, inherits, safety_mode: mode = safety.mode, ...chosen }: z.output<typeof NEW_AGENT>,
): AgentSpec {
  const defaults = { ...config.agent, name: undefined, args: [], cwd: undefined }
  const settings = check(configSchema.shape.agent, { ...defaults, ...chosen }, 'the body')
  if (settings.name !== undefined) assertNoPii(settings.name, safety.logs)
  if (mode !== safety.mode) {
    throw new CageError('conflict', `the server runs with safety.mode "${safety.mode}", not "${mode}"`, {
      hint: 'omit the mode, or run the agent with its own server (another --db and --port)',
    })
  }
  return { ...settings, script, inherits, limitUsd: budget_usd === undefined ? undefined : toUsd(budget_usd) }
}

/** The next run would not know what the agent has spent. */
const tooLongAgo = (id: string): CageError =>
  new CageError('agent_not_running', `${id} ended too long ago to be restarted`, {
    facts: { agent_id: id },
    hint: 'start its script as a new agent',
  })
