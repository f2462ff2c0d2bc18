/** What the routes for running agents stand on: the rooms they use, and the run that asks. */
import type { Context } from 'hono'
import type { AgentIdentity } from '../access/roles.ts'
import { CageError } from '../errors.ts'
import type { Env } from './guard.ts'
import type { Rooms } from './rooms.ts'

export type RunRooms = Pick<
  Rooms,
  'config' | 'clock' | 'store' | 'state' | 'money' | 'safety' | 'incidents' | 'access' | 'gateway' | 'secrets'
>

/** The run that asks. Throws CageError `forbidden` for anybody else. */
export function runOf(context: Context<Env>): AgentIdentity['run'] {
  const identity = context.get('identity')
  if (identity.role !== 'agent') throw new CageError('forbidden', 'this is for running agents')
  return identity.run
}
