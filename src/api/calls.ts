/** The ledger's rows: lists them, corrects charges, resolves calls that a killed server left open. */

import { Hono } from 'hono'
import * as z from 'zod'
import { isoTime } from '../clock.ts'
import type { CallRow } from '../db/calls.ts'
import { toAgentId, toCallId } from '../ids.ts'
import { toUsd, type Usd } from '../money.ts'
import { getAgent, loadedAgentId, statusOf } from './agents.ts'
import { amount, readJson, readQuery } from './body.ts'
import type { Env, Guard } from './guard.ts'
import type { Rooms } from './rooms.ts'

/** A row of the ledger for people: amounts in US dollars. */
export type ShownCall = Omit<CallRow, 'held_nanos' | 'cost_nanos'> & { held_usd: Usd; cost_usd: Usd }

export const shownCall = ({ held_nanos, cost_nanos, ...row }: CallRow): ShownCall => ({
  ...row,
  held_usd: toUsd(held_nanos),
  cost_usd: toUsd(cost_nanos),
})

/** Below /api/agents. */
export function callRoutes(rooms: Pick<Rooms, 'state' | 'store' | 'money' | 'safety'>, guard: Guard): Hono<Env> {
  const { state, store, money, safety } = rooms
  return new Hono<Env>()
    .get('/:id/calls', guard('viewer'), async (context) => {
      const { id } = getAgent(state, toAgentId(context.req.param('id')))
      const rows = await store.calls.find({ agentId: id, ...readQuery(context, CALLS) })
      return context.json({ calls: rows.map(shownCall) })
    })
    .post('/:id/calls/:call/correct', guard('admin'), async (context) => {
      const agentId = await loadedAgentId(rooms, context)
      const { cost_usd: cost, reason } = await readJson(context, CORRECTION)
      const correction_id = money.ledger.correct({
        agentId,
        callId: toCallId(context.req.param('call')),
        cost,
        reason: safety.logs.clean(reason),
        by: context.get('identity').name,
      })
      return context.json({ ...statusOf(rooms, agentId), correction_id })
    })
    .post('/:id/calls/:call/resolve', guard('admin'), async (context) => {
      const agentId = await loadedAgentId(rooms, context)
      const resolution = await readJson(context, RESOLUTION)
      money.ledger.resolve({
        agentId,
        callId: toCallId(context.req.param('call')),
        cost: resolution.outcome === 'released' ? null : resolution.cost_usd,
        by: context.get('identity').name,
      })
      return context.json(statusOf(rooms, agentId))
    })
}

/** A day means its first moment, UTC. */
const instant = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })], { error: 'expected a time such as 2026-01-02T03:04:05Z' })
  .transform((text) => isoTime(Date.parse(text)))

/** The query parameters. */
export const CALLS = z.strictObject({
  state: z.enum(['held', 'charged', 'released', 'unresolved']).optional(),
  kind: z.enum(['llm', 'service', 'reported', 'correction']).optional(),
  from: instant.optional(),
  to: instant.optional(),
  before: z.string().transform(toCallId).optional().describe('Id of a call.'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

export const CORRECTION = z.strictObject({ cost_usd: amount, reason: z.string().trim().min(1).max(500) })

export const RESOLUTION = z.discriminatedUnion('outcome', [
  z.strictObject({ outcome: z.literal('charged'), cost_usd: amount.optional() }),
  z.strictObject({ outcome: z.literal('released') }),
])
