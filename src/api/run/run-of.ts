/** The dependencies of the routes for running agents, and the run of a request. */
import type { AgentIdentity, Identity } from '../../access/roles.ts'
import { CageError } from '../../core/errors.ts'
import type { Deps } from '../deps.ts'

export type RunDeps = Pick<
  Deps,
  'config' | 'clock' | 'store' | 'state' | 'money' | 'safety' | 'incidents' | 'access' | 'gateway' | 'secrets'
>

/** The run that sent the request. Throws CageError `forbidden` for other callers. */
export function runOf(identity: Identity): AgentIdentity['run'] {
  if (identity.role !== 'agent') throw new CageError('forbidden', 'this is for running agents')
  return identity.run
}
