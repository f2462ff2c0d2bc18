/** Roles. Every route names the role it requires; `requireRole` alone decides. */
import { CageError } from '../core/errors.ts'
import type { AgentId, RunId } from '../core/ids.ts'
import type { RunProcess } from './peers.ts'
import type { TokenRun } from './run-tokens.ts'

export type Role = 'admin' | 'viewer' | 'agent'

/** The authenticated caller. */
export type Identity = PersonIdentity | AgentIdentity

export interface PersonIdentity {
  role: 'admin' | 'viewer'
  name: string
  /** The session or token that the identity ends with. */
  session: string
}

export interface AgentIdentity {
  role: 'agent'
  name: string
  /** `runId` is null and `script` empty for a client without supervision. */
  run: {
    agentId: AgentId
    runId: RunId | null
    /** What its run is a part of, outermost. (Default: nothing.) */
    partOf?: RunId | AgentId | undefined
    name: string
    script: string
    /** Of a client without supervision. */
    tokenName?: string | undefined
    process?: RunProcess | undefined
    egress?: TokenRun['egress']
    onRefused?: ((error: CageError) => void) | undefined
  }
}

/** The roles that each role includes. An agent is no viewer: it sees only itself. */
const INCLUDES: Record<Role, readonly Role[]> = {
  admin: ['admin', 'viewer'],
  viewer: ['viewer'],
  agent: ['agent'],
}

/** Throws CageError `forbidden`. */
export function requireRole(identity: Identity, needed: Role): void {
  if (INCLUDES[identity.role].includes(needed)) return
  throw new CageError('forbidden', `this needs the role ${needed}; ${identity.name} has the role ${identity.role}`, {
    facts: { needed, role: identity.role },
  })
}
