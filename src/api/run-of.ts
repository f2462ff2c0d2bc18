import type { Context } from 'hono'
import type { AgentIdentity } from '../access/roles.ts'
import { CageError } from '../errors.ts'
import type { Env } from './guard.ts'

/** The run that asks. Throws CageError `forbidden` for anybody else. */
export function runOf(context: Context<Env>): AgentIdentity['run'] {
  const identity = context.get('identity')
  if (identity.role !== 'agent') throw new CageError('forbidden', 'this is for running agents')
  return identity.run
}
