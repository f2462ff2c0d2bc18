/**
 * Parts of an agent's work: a block of its code that makes calls with its own run token and, optionally, its own limit.
 * An agent without a process (its token is an API token) ends when it reports so.
 */
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { exitedEvent } from '../agents/agent-events.ts'
import { CageError } from '../errors.ts'
import { type AgentId, newRunId, type RunId } from '../ids.ts'
import { getAgent } from './agents.ts'
import { amount, readJson, shortText } from './body.ts'
import { connectionOf, type Env } from './guard.ts'
import { type RunRooms, runOf } from './run-of.ts'

/** Parts of one agent. When there are more, the oldest are dropped; all end with their agent. */
const MAX_PARTS = 1_000

/**
 * `POST /begin` {budget_usd?, pid?} → {agent_id, run_id, token, gateway}: a run token of the same agent, within the
 * caller's limits, and the path for its calls. `POST /end` {state, reason?} → 204: that token ends; with the API token,
 * its agent ends.
 */
export function partRoutes({ state, store: { checkpoints }, money: { ledger }, access }: RunRooms): Hono<Env> {
  const { runTokens, apiTokens } = access
  /** By agent, the oldest first. */
  const open = new Map<AgentId, Set<RunId>>()
  const end = (agentId: AgentId, runId: RunId) => {
    open.get(agentId)?.delete(runId)
    runTokens.revoke(runId)
    ledger.accounts.closePart(runId)
  }
  state.subscribe(({ type, agent_id }) => {
    if (type !== 'agent.exited' || agent_id === null) return
    for (const runId of open.get(agent_id) ?? []) end(agent_id, runId)
    open.delete(agent_id)
  })
  return new Hono<Env>()
    .post('/begin', async (context) => {
      const { agentId, runId: within, name, script, onRefused, process: own } = runOf(context)
      const { budget_usd: limit, pid } = await readJson(context, PART_BEGIN)
      const process = own ?? (pid && (await runTokens.processOf(connectionOf(context), agentId, pid)))
      const runId = newRunId()
      const around = bearerOf(context)
      const lives = () => (runTokens.find(around) ?? apiTokens.find(around)) !== undefined
      ledger.accounts.openPart(runId, limit ?? ledger.accounts.balance(agentId).limit, within)
      const parts = open.get(agentId) ?? new Set()
      open.set(agentId, parts.add(runId))
      if (parts.size > MAX_PARTS) end(agentId, parts.values().next().value!)
      const token = runTokens.issue({ agentId, runId, name, script, onRefused, lives, process: process || undefined })
      const gateway = `/gateway/${process ? runTokens.addressOf(runId, token) : token}`
      return context.json({ agent_id: agentId, run_id: runId, token, gateway })
    })
    .post('/end', async (context) => {
      const { agentId, runId, name, script } = runOf(context)
      const { state: ended, reason } = await readJson(context, PART_END)
      const agent = getAgent(state, agentId)
      if (runId !== null) {
        if (runId === agent.run_id) throw new CageError('conflict', 'a run that has a process ends with it')
        end(agentId, runId)
      } else {
        if (ended === 'completed') checkpoints.forget({ name, script })
        const exit = { exitCode: null, signal: null }
        state.record({ ...exitedEvent(name, agent.run_id, exit, { state: ended, reason }), agent_id: agentId })
      }
      return context.body(null, 204)
    })
}

const bearerOf = ({ req }: Context): string => req.header('authorization')!.replace(/^bearer +/i, '')

export const PART_BEGIN = z.strictObject({
  budget_usd: amount.optional(),
  pid: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('The requesting process. If it can be verified, the part belongs to it.'),
})

export const PART_END = z.strictObject({
  state: z.enum(['completed', 'failed']),
  reason: shortText(100)
    .pipe(z.string().regex(/^[\w. -]*$/))
    .default('done')
    .describe('Without personal data, such as the name of an exception.'),
})
