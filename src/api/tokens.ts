import { Hono } from 'hono'
import * as z from 'zod'
import { CageError } from '../errors.ts'
import { type AgentId, newAgentId, newRunId } from '../ids.ts'
import { NANOS_PER_USD, type Nanodollars, nanodollars, showUsd, toUsd } from '../money.ts'
import { assertNoPii } from '../redaction/redactor.ts'
import { amount, readJson } from './body.ts'
import { type Env, type Guard, who } from './guard.ts'
import type { Rooms } from './rooms.ts'

type TokenRooms = Pick<Rooms, 'config' | 'access' | 'audit' | 'safety' | 'state' | 'money'>

const DEFAULT_BUDGET = nanodollars(100 * NANOS_PER_USD)
const YEAR_S = 31_536_000
const DAY_S = 86_400

/**
 * API tokens. One with the role agent (the default) gets its own agent and budget. `POST /:id/rotate`
 * {overlap_s?: a day} → 201 with its replacement; the old one stays valid for the overlap.
 */
export function tokenRoutes(rooms: TokenRooms, guard: Guard): Hono<Env> {
  const { audit, safety } = rooms
  const { apiTokens, sessions } = rooms.access
  return new Hono<Env>()
    .get('/', guard('admin'), (context) => context.json({ tokens: apiTokens.list() }))
    .post('/', guard('admin', 'token.create'), async (context) => {
      const { name, role, budget_usd: limit, expires_in_s: expiresInS } = await readJson(context, NEW_TOKEN)
      assertNoPii(name, safety.logs)
      if (role !== 'agent' && limit !== undefined) {
        throw new CageError('bad_request', 'budget_usd: only a token of the role agent has a budget')
      }
      const agentId = role === 'agent' ? openClient(rooms, name, limit ?? DEFAULT_BUDGET) : null
      const createdBy = context.get('identity').name
      const created = apiTokens.create({ name, role, agentId, expiresInS, createdBy })
      // Without this row its value is not handed out.
      const details = { name, role, agent_id: agentId, expires_at: created.expires_at }
      audit.append({ ...who(context.get('identity')), action: 'token.created', target: created.id, details })
      return context.json(created, 201)
    })
    .post('/:id/rotate', guard('admin', 'token.rotate'), async (context) => {
      const id = context.req.param('id')
      const { overlap_s: overlapS } = await readJson(context, ROTATION)
      const created = apiTokens.rotate(id, { overlapS, createdBy: context.get('identity').name })
      const details = { replaces: id, overlap_s: overlapS, expires_at: created.expires_at }
      audit.append({ ...who(context.get('identity')), action: 'token.created', target: created.id, details })
      if (overlapS === 0) sessions.end(id)
      return context.json(created, 201)
    })
    .delete('/:id', guard('admin', 'token.revoke'), (context) => {
      const id = context.req.param('id')
      apiTokens.revoke(id)
      // Disconnects viewers that use it.
      sessions.end(id)
      return context.body(null, 204)
    })
}

export const NEW_TOKEN = z.strictObject({
  name: z.string().min(1).max(80),
  role: z.enum(['admin', 'viewer', 'agent']).default('agent'),
  budget_usd: amount.optional(),
  expires_in_s: z
    .number()
    .int()
    .min(1)
    .max(10 * YEAR_S)
    .optional(),
})

export const ROTATION = z.strictObject({
  overlap_s: z
    .number()
    .int()
    .min(0)
    .max(30 * DAY_S)
    .default(DAY_S),
})

/** An agent without a process: it exists as long as its token is valid. */
function openClient({ config, state, money, safety }: TokenRooms, name: string, limit: Nanodollars): AgentId {
  const id = newAgentId(name)
  money.ledger.accounts.openAccount(id, limit)
  state.record({
    type: 'agent.started',
    level: 'OK',
    agent_id: id,
    message: `${name} may make calls, budget ${showUsd(toUsd(limit))}`,
    data: {
      run_id: newRunId(),
      name,
      script: '(API token)',
      environment: config.agent.environment,
      pid: null,
      restart: 0,
      limit_usd: toUsd(limit),
      safety_mode: safety.mode,
      detect: safety.detect,
    },
  })
  return id
}
