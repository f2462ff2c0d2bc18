/** How a command loads the configuration of a server: with the policy of its Control Panel. */
import type { LoadedConfig } from '../../config/config.ts'
import type { Policies } from '../../config/policy.ts'
import { withPolicy } from '../../uplink/with-policy.ts'
import type { Terminal } from '../output/terminal.ts'
import type { AgentFlags } from './flags.ts'
import { loadFlags } from './load-flags.ts'

/**
 * `policy`: instead of the one that was kept; null for none. Throws what `loadFlags` and `withPolicy` throw. The other
 * commands do without: they must work while no policy can be used.
 */
export const loadServerFlags = (
  flags: AgentFlags,
  terminal: Pick<Terminal, 'env' | 'cwd'>,
  options?: Parameters<typeof loadFlags>[2],
  policy?: Policies | null,
): LoadedConfig => withPolicy(loadFlags(flags, terminal, options), policy)
