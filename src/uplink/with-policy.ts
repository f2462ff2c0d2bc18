/** The configuration of a server with the policy that its database keeps, so that it holds while the panel is away as well. */
import { existsSync } from 'node:fs'
import type { LoadedConfig } from '../config/config.ts'
import { mergePolicy, type Policy, parsePolicy } from '../config/policy.ts'
import { InvalidConfigError } from '../config/problems.ts'
import { readMeta } from '../db/database.ts'
import { openSeal } from '../db/seal.ts'
import { CageError } from '../errors.ts'
import { KEPT_POLICY, unsealPolicy } from './kept-policy.ts'

/**
 * Merges the policy of the database that the configuration names, or `policy` instead; null for none. Throws CageError
 * `invalid_config` for one that this version cannot use: nothing starts without what the organization asks for.
 */
export function withPolicy(loaded: LoadedConfig, policy: Policy | null | undefined = keptFor(loaded)): LoadedConfig {
  return policy ? mergePolicy(loaded, policy) : loaded
}

function keptFor({ config }: LoadedConfig): Policy | null {
  const { path } = config.db
  if (!existsSync(path)) return null
  const state = unsealPolicy(readMeta(path, KEPT_POLICY), openSeal(path).unseal)
  if (!state?.settings) return null
  try {
    return parsePolicy(state.settings)
  } catch (error) {
    if (!(error instanceof InvalidConfigError)) throw error
    throw new CageError('invalid_config', `policy ${state.revision} of the Control Panel: ${error.message}`, {
      hint: 'update Iron Cage, or leave the panel with "iron-cage leave"',
      cause: error,
    })
  }
}
