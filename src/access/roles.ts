/** Who may do what. Every route names the role it needs; `requireRole` is the one place that decides. */
import { CageError } from '../errors.ts'
import type { AgentId, RunId } from '../ids.ts'
import type { RunProcess } from './peers.ts'

export type Role = 'admin' | 'viewer' | 'agent'

/** Who is asking, as far as it was proved. */
export type Identity = PersonIdentity | AgentIdentity

export interface PersonIdentity {
  role: 'admin' | 'viewer'
  name: string
  /** What ends when the identity ends: a session or a token. */
  session: string
}

export interface AgentIdentity {
  role: 'agent'
  name: string
  /** `runId` is null for a client that is not supervised, and `script` is empty. */
  run: {
    agentId: AgentId
    runId: RunId | null
    name: string
    script: string
    process?: RunProcess | undefined
    onRefused?: ((error: CageError) => void) | undefined
  }
}

/** What a role may also do. An agent is no viewer: it sees itself only. */
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
