/** The events of the vault and their messages. Pure. */

import type { EventData, NewEvent } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import type { SecretRow } from '../db/tables/secrets.ts'

export function vaultOpenedEvent(secrets: EventData['vault.opened']['secrets']): NewEvent {
  const message = `The vault is open, with ${secrets.length} ${secrets.length === 1 ? 'secret' : 'secrets'}`
  return { type: 'vault.opened', level: 'INFO', message, data: { secrets } }
}

export function lockedEvent(message: string, data: EventData['vault.locked']): NewEvent {
  const level = data.why === 'broken' ? 'CRIT' : 'WARN'
  return { type: 'vault.locked', level, message: `The vault stays locked: ${message}; ${data.hint}`, data }
}

export function brokenEvent(id: string, problem: string): NewEvent {
  const message = `The vault was tampered with: ${problem}`
  return { type: 'vault.broken', level: 'CRIT', message, data: { problem, secret_id: id } }
}

/** `what`: the rest of the sentence after the secret's name. */
export function secretEvent(
  type: 'secret.created' | 'secret.read' | 'secret.updated' | 'secret.deleted' | 'secret.restored',
  { id: secret_id, name, environment, version, masked }: SecretRow,
  what: string,
  agentId: AgentId | null = null,
): NewEvent {
  const message = `${name} of ${environment} ${what}`
  return { type, level: 'INFO', agent_id: agentId, message, data: { secret_id, name, environment, version, masked } }
}
