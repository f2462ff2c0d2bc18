/** The last policy of the Control Panel that this runtime could use, sealed in its database. */

import type { Store } from '../db/store.ts'
import type { PolicyState } from '../protocol/control-messages.ts'

/** Its key in `meta`. */
export const KEPT_POLICY = 'panel.policy'
const ABOUT = 'the policy of a Control Panel'

/** Null for none. Throws CageError `database_unusable` when it cannot be decrypted. */
export const readPolicy = ({ meta, unseal }: Pick<Store, 'meta' | 'unseal'>): PolicyState | null =>
  unsealPolicy(meta.get(KEPT_POLICY), unseal)

export function keepPolicy({ meta, seal }: Pick<Store, 'meta' | 'seal'>, state: PolicyState | null): void {
  meta.put(KEPT_POLICY, state ? seal(Buffer.from(JSON.stringify(state)), ABOUT).toString('base64') : '')
}

/** `stored`: the value in `meta`. Throws likewise. */
export function unsealPolicy(stored: string | undefined, unseal: Store['unseal']): PolicyState | null {
  if (!stored) return null
  const kept = JSON.parse(unseal(Buffer.from(stored, 'base64'), ABOUT).toString()) as PolicyState
  // One that an earlier version kept has none.
  return { ...kept, environments: kept.environments ?? {} }
}
