/**
 * Delivers rotated secrets to a running agent (`vault/rotation.ts`): its Python shim requests and acknowledges them.
 */
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { CageError } from '../errors.ts'
import type { RunId } from '../ids.ts'
import type { Rotation } from '../vault/rotation.ts'
import { readJson } from './body.ts'
import type { Env } from './guard.ts'
import { runOf } from './run-of.ts'

/**
 * `GET /` → {revision, secrets: {name: value}}: all of the run's environment, except those it is shielded from.
 * `POST /ack` {pid, revision} → 204: the process has the values of `revision`; null: it listens for SIGUSR1.
 * Both throw CageError `forbidden` for callers without a process of ours, `agent_not_running`; the first also
 * `vault_locked`.
 */
export function runSecretRoutes(rotation: Rotation): Hono<Env> {
  return new Hono<Env>()
    .get('/', async (context) => context.json(await rotation.handOver(supervisedRunOf(context))))
    .post('/ack', async (context) => {
      const { pid, revision } = await readJson(context, ACKNOWLEDGEMENT)
      rotation.acknowledge(supervisedRunOf(context), pid, revision)
      return context.body(null, 204)
    })
}

/** Throws CageError `forbidden` for any caller but a supervised agent. */
export function supervisedRunOf(context: Context<Env>): RunId {
  const { runId } = runOf(context)
  if (runId === null) throw new CageError('forbidden', 'this is for agents that Iron Cage runs')
  return runId
}

export const ACKNOWLEDGEMENT = z.object({
  pid: z.number().int().min(1),
  revision: z.number().int().min(0).nullable(),
})
