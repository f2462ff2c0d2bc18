/**
 * The audit rows of secrets: one row for each secret that is changed or given out, one for each attempt that fails.
 * The row of a change holds the hash of the secret's row, and is where the hash is read from at the next start.
 */

import type { Audit } from '../audit/chain.ts'
import type { Entry } from '../audit/entries.ts'
import type { SecretRow, SecretTable } from '../db/secrets.ts'
import { asCageError } from '../errors.ts'
import type { AgentId } from '../ids.ts'

/** Who asks. */
export interface Requester {
  role: Entry['role']
  /** A person's or token's name, an agent's id, "iron-cage". */
  actor: string
  /** The agent that asks, or for which it is asked. */
  agentId: AgentId | null
}

export type Change = 'create' | 'update' | 'roll_back' | 'delete' | 'restore' | 'reseal'

/** What the last change of a secret says of it. */
export interface LastChange {
  name: string
  /** Of the secret's row after the change; undefined when the row of the audit was edited. */
  rowHash: string | undefined
}

export class SecretAudit {
  readonly #audit: Audit

  constructor(audit: Audit) {
    this.#audit = audit
  }

  /** Runs `work`; what fails is in the audit too. */
  async attempt<T>(
    operation: Change | 'read',
    { name, environment }: Pick<SecretRow, 'name' | 'environment'>,
    { role, actor, agentId }: Requester,
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await work()
    } catch (error) {
      this.#audit.append({
        role,
        actor,
        action: `secret.${operation}`,
        target: name,
        details: { environment, agent_id: agentId, success: false, error: asCageError(error).message },
      })
      throw error
    }
  }

  changed(operation: Change, row: SecretRow, by: Requester, rowHash: string): void {
    this.#append(operation, row, by, { row_hash: rowHash })
  }

  wasRead(row: SecretRow, by: Requester): void {
    this.#append('read', row, by)
  }

  #append(operation: Change | 'read', row: SecretRow, { role, actor, agentId }: Requester, more = {}): void {
    const { id, name, environment, version } = row
    this.#audit.append({
      role,
      actor,
      action: `secret.${operation}`,
      target: name,
      details: { secret_id: id, environment, version, agent_id: agentId, success: true, ...more },
    })
  }

  /** Of every secret that there ever was, by id. */
  lastChanges(table: SecretTable): Map<string, LastChange> {
    const last = new Map<string, LastChange>()
    for (const change of table.changes()) {
      const { secret_id, row_hash } = readDetails(change.details)
      if (secret_id === undefined || row_hash === undefined) continue
      const rowHash = this.#audit.isAsWritten(change) ? row_hash : undefined
      last.set(secret_id, { name: change.target ?? secret_id, rowHash })
    }
    return last
  }
}

function readDetails(details: string): { secret_id?: string; row_hash?: string } {
  try {
    return JSON.parse(details) as { secret_id?: string; row_hash?: string }
  } catch {
    return {}
  }
}
