/**
 * Parts of an agent's work: a block of its code that makes calls with its own run token and, optionally, its own limit.
 * An agent without a process (its token is an API token) ends when it reports so.
 */
import type { Context } from 'hono'
import * as z from 'zod'
import { exitedEvent } from '../../agents/agent-events.ts'
import { CageError } from '../../core/errors.ts'
import { type AgentId, newRunId, type RunId } from '../../core/ids.ts'
import { amount, shortText } from '../../http/body.ts'
import { connectionOf } from '../../http/guard.ts'
import { type Route, routesOf } from '../../http/route.ts'
import { getAgent } from '../agents.ts'
import { type RunDeps, runOf } from './run-of.ts'

/** Parts of one agent. When there are more, the oldest are dropped; all end with their agent. */
const MAX_PARTS = 1_000

const route = routesOf('Own run')

export function partRoutes({ state, store: { checkpoints }, money: { ledger }, access }: RunDeps): Route[] {
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
  return [
    route('POST /api/run/begin', {
      role: 'agent',
      summary: 'Begins a part of the work with its own token and, optionally, its own limit.',
      body: PART_BEGIN,
      reply: () =>
        z.object({
          agent_id: z.string(),
          run_id: z.string().describe('Id of the part.'),
          token: z.string().describe('Its run token.'),
          gateway: z.string().describe('Path for its calls.'),
        }),
      handle: async ({ context, body: { budget_usd: limit, pid }, identity }) => {
        const {
          agentId,
          runId: within,
          partOf = within ?? agentId,
          name,
          script,
          egress,
          onRefused,
          process: own,
        } = runOf(identity)
        const process = own ?? (pid && (await runTokens.processOf(connectionOf(context), agentId, pid)))
        const runId = newRunId()
        const around = bearerOf(context)
        const lives = () => (runTokens.find(around) ?? apiTokens.find(around)) !== undefined
        ledger.accounts.openPart(runId, limit ?? ledger.accounts.balance(agentId).limit, within)
        const parts = open.get(agentId) ?? new Set()
        open.set(agentId, parts.add(runId))
        if (parts.size > MAX_PARTS) end(agentId, parts.values().next().value!)
        const part = { agentId, runId, partOf, name, script, egress, onRefused, lives, process: process || undefined }
        const token = runTokens.issue(part)
        const gateway = `/gateway/${process ? runTokens.addressOf(runId, token) : token}`
        return { agent_id: agentId, run_id: runId, token, gateway }
      },
    }),
    route('POST /api/run/end', {
      role: 'agent',
      summary: 'Ends a part of the work with its token; with an API token, the whole run.',
      body: PART_END,
      reply: null,
      errors: ['conflict'],
      handle: ({ body: { state: ended, reason }, identity }) => {
        const { agentId, runId, name, script } = runOf(identity)
        const agent = getAgent(state, agentId)
        if (runId !== null) {
          if (runId === agent.run_id) throw new CageError('conflict', 'a run that has a process ends with it')
          return end(agentId, runId)
        }
        if (ended === 'completed') checkpoints.forget({ name, script })
        const exit = { exitCode: null, signal: null }
        state.record({ ...exitedEvent(name, agent.run_id, exit, { state: ended, reason }), agent_id: agentId })
      },
    }),
  ]
}

const bearerOf = ({ req }: Context): string => req.header('authorization')!.replace(/^bearer +/i, '')

const PART_BEGIN = z.strictObject({
  budget_usd: amount.optional(),
  pid: z
    .number()
    .int()
    .min(1)
    .optional()
    .describe('The requesting process. If it can be verified, the part belongs to it.'),
})

const PART_END = z.strictObject({
  state: z.enum(['completed', 'failed']),
  reason: shortText(100)
    .pipe(z.string().regex(/^[\w. -]*$/))
    .default('done')
    .describe('Without personal data, such as the name of an exception.'),
})
