/**
 * The audit rows of secrets: one row for each secret that is changed or given out, and one for each failed attempt. The
 * row of a change contains the hash of the secret's row, which is read from there at the next start.
 */

import type { Audit } from '../audit/chain.ts'
import type { Entry } from '../audit/entries.ts'
import { asCageError } from '../core/errors.ts'
import type { AgentId } from '../core/ids.ts'
import type { SecretRow, SecretTable } from '../db/tables/secrets.ts'

/** Who makes a request. */
export interface Requester {
  role: Entry['role']
  /** The name of a person or token, an agent's id, or "iron-cage". */
  actor: string
  /** The agent that makes the request, or that it is made for. */
  agentId: AgentId | null
}

export type SecretChange = 'create' | 'update' | 'roll_back' | 'delete' | 'restore' | 'reseal'

/** The audit's record of a secret's last change. */
export interface LastChange {
  name: string
  /** Of the secret's row after the change; undefined when the audit row was edited. */
  rowHash: string | undefined
}

export class SecretAudit {
  readonly #audit: Audit

  constructor(audit: Audit) {
    this.#audit = audit
  }

  /** Runs `work` and records its failure. */
  async attempt<T>(
    operation: SecretChange | 'read',
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

  changed(operation: SecretChange, row: SecretRow, by: Requester, rowHash: string): void {
    this.#append(operation, row, by, { row_hash: rowHash })
  }

  wasRead(row: SecretRow, by: Requester): void {
    this.#append('read', row, by)
  }

  #append(operation: SecretChange | 'read', row: SecretRow, { role, actor, agentId }: Requester, more = {}): void {
    const { id, name, environment, version } = row
    this.#audit.append({
      role,
      actor,
      action: `secret.${operation}`,
      target: name,
      details: { secret_id: id, environment, version, agent_id: agentId, success: true, ...more },
    })
  }

  /** Of every secret that ever existed, by id. */
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
