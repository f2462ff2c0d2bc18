/**
 * Delivers rotated secrets to a running agent (`vault/rotation.ts`): its Python shim requests and acknowledges them.
 */
import * as z from 'zod'
import type { Identity } from '../../access/roles.ts'
import { CageError } from '../../core/errors.ts'
import type { RunId } from '../../core/ids.ts'
import { count, type Route, routesOf } from '../../http/route.ts'
import type { Rotation } from '../../vault/rotation.ts'
import { runOf } from './run-of.ts'

const route = routesOf('Own run')

export const runSecretRoutes = (rotation: Rotation): Route[] => [
  route('GET /api/run/secrets', {
    role: 'agent',
    summary: 'Returns the secrets of the environment to a supervised agent.',
    reply: () =>
      z.object({
        revision: count().describe('To acknowledge.'),
        secrets: z.record(z.string(), z.string()).describe('Values by name, except those it is shielded from.'),
      }),
    errors: ['agent_not_running', 'vault_locked', 'vault_broken'],
    handle: ({ identity }) => rotation.handOver(supervisedRunOf(identity)),
  }),
  route('POST /api/run/secrets/ack', {
    role: 'agent',
    summary: 'Acknowledges a revision of the secrets; with revision null, registers the process for SIGUSR1.',
    body: z.object({
      pid: z.number().int().min(1),
      revision: z.number().int().min(0).nullable(),
    }),
    reply: null,
    errors: ['agent_not_running'],
    handle: ({ identity, body: { pid, revision } }) => rotation.acknowledge(supervisedRunOf(identity), pid, revision),
  }),
]

/** Throws CageError `forbidden` for any caller but a supervised agent. */
export function supervisedRunOf(identity: Identity): RunId {
  const { runId } = runOf(identity)
  if (runId === null) throw new CageError('forbidden', 'this is for agents that Iron Cage runs')
  return runId
}
