/** The configuration of a server with the policy that its database keeps, so that it holds while the panel is away as well. */
import { existsSync } from 'node:fs'
import type { LoadedConfig } from '../config/config.ts'
import { mergePolicies, type Policies } from '../config/policy.ts'
import { InvalidConfigError } from '../config/problems.ts'
import { CageError } from '../core/errors.ts'
import { readMeta } from '../db/database.ts'
import { openSeal } from '../db/seal.ts'
import type { PolicyState } from '../protocol/control-messages.ts'
import { KEPT_POLICY, unsealPolicy } from './kept-policy.ts'

/**
 * Merges the policy of the database that the configuration names, or `policy` instead; null for none. Throws CageError
 * `invalid_config` for one that this version cannot use: nothing starts without the organization's policy.
 */
export function withPolicy(loaded: LoadedConfig, policy?: Policies | null): LoadedConfig {
  if (policy !== undefined) return policy ? mergePolicies(loaded, policy) : loaded
  const kept = keptFor(loaded)
  if (!kept) return loaded
  try {
    return mergePolicies(loaded, kept)
  } catch (error) {
    if (!(error instanceof InvalidConfigError)) throw error
    throw new CageError('invalid_config', `policy ${kept.revision} of the Control Panel: ${error.message}`, {
      hint: 'update Iron Cage, or leave the panel with "iron-cage leave"',
      cause: error,
    })
  }
}

function keptFor({ config }: LoadedConfig): PolicyState | null {
  const { path } = config.db
  return existsSync(path) ? unsealPolicy(readMeta(path, KEPT_POLICY), openSeal(path).unseal) : null
}
