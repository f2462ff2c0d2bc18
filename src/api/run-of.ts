/** The dependencies of the routes for running agents, and the run of a request. */
import type { Context } from 'hono'
import type { AgentIdentity } from '../access/roles.ts'
import { CageError } from '../errors.ts'
import type { Env } from './guard.ts'
import type { Rooms } from './rooms.ts'

export type RunRooms = Pick<
  Rooms,
  'config' | 'clock' | 'store' | 'state' | 'money' | 'safety' | 'incidents' | 'access' | 'gateway' | 'secrets'
>

/** The run that sent the request. Throws CageError `forbidden` for other callers. */
export function runOf(context: Context<Env>): AgentIdentity['run'] {
  const identity = context.get('identity')
  if (identity.role !== 'agent') throw new CageError('forbidden', 'this is for running agents')
  return identity.run
}
