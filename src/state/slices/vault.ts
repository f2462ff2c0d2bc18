import type { RuntimeEvent, SecretListed } from '../../core/events.ts'
import { own } from '../own.ts'
import type { Snapshot } from '../snapshot.ts'

export function applyToVault(vault: Snapshot['vault'], event: RuntimeEvent): Snapshot['vault'] {
  if (event.type === 'vault.opened') return { state: 'open', hint: null }
  return event.type === 'vault.locked' ? { state: 'locked', hint: event.data.hint } : vault
}

export function applyToSecrets(secrets: Snapshot['secrets'], event: RuntimeEvent): Snapshot['secrets'] {
  switch (event.type) {
    // As in its table, even if its events were deleted.
    case 'vault.opened':
    case 'vault.locked':
      return Object.fromEntries(event.data.secrets.map((secret) => [secret.id, secret]))
    case 'secret.created':
    case 'secret.updated':
    case 'secret.deleted':
    case 'secret.restored': {
      const { secret_id: id, name, environment, version, masked } = event.data
      const before = own(secrets, id)
      const secret: SecretListed = {
        id,
        name,
        environment,
        version,
        masked,
        created_at: before?.created_at ?? event.at,
        updated_at: event.at,
        rotated_at: event.type === 'secret.updated' ? event.at : (before?.rotated_at ?? null),
        deleted_at: event.type === 'secret.deleted' ? event.at : null,
      }
      return { ...secrets, [id]: secret }
    }
    default:
      return secrets
  }
}
