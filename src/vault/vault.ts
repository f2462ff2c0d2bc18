/**
 * The vault: secrets by name and environment, each sealed with a key of its own (`seal.ts`), revealed only into memory.
 */
import type { Entry } from '../audit/chain.ts'

/** Who asks. */
export interface Requester {
  role: Entry['role']
  /** A person's or token's name, an agent's id, "iron-cage". */
  actor: string
  /** The agent that asks, or for which it is asked. */
  agentId: string | null
}

/** What may be shown of a secret at any time. */
export interface SecretView {
  /** "secret-…" */
  id: string
  name: string
  environment: string
  /** First letters and last two, only when long enough. */
  masked: string
  /** Counted from 1; each new value is the next one. */
  version: number
  created_at: string
  updated_at: string
  /** When the value was last replaced; null when it is the first one. */
  rotated_at: string | null
  deleted_at: string | null
}

export type VaultState =
  | { state: 'open' }
  | { state: 'locked'; why: 'no_key' | 'weak_key' | 'wrong_key' | 'broken'; message: string; hint: string }

export interface NewSecret {
  name: string
  environment: string
  value: string
}

/** Every method that needs the key throws CageError `vault_locked` while the vault is locked. */
export interface VaultSignatures {
  readonly state: VaultState
  readonly isLocked: boolean
  create(secret: NewSecret, by: Requester): Promise<SecretView>
  /** Live ones by name and environment; `deleted`: those that can be restored as well. */
  list(query?: { environment?: string; deleted?: boolean }): SecretView[]
  get(id: string): SecretView
  find(name: string, environment: string): SecretView | undefined
  reveal(id: string, by: Requester): Promise<string>
  revealEnvironment(environment: string, by: Requester): Promise<Map<string, string>>
  /** The value in memory, without waiting and without an audit row: for the road of a call. */
  valueOf(name: string, environment: string): string | undefined
  /** The secret that had this value before, since the server started, and the value it has now. */
  currentOf(formerValue: string): { id: string; name: string; environment: string; value: string } | undefined
  /** Seals a new value, keeps the one before it, records `secret.updated`. */
  update(id: string, value: string, by: Requester): Promise<SecretView>
  /** Back to the value before the last update; a version of its own. Throws `conflict` when there is none. */
  rollBack(id: string, by: Requester): Promise<SecretView>
  delete(id: string, by: Requester): Promise<SecretView>
  restore(id: string, by: Requester): Promise<SecretView>
}
