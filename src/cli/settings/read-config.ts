import type { LoadedConfig } from '../../config/config.ts'
import type { Terminal } from '../output/terminal.ts'
import type { AgentFlags } from './flags.ts'

/** Loads the configuration, and only then the code that does so. Throws what `loadFlags` throws. */
export const readConfig = async (flags: AgentFlags, terminal: Terminal): Promise<LoadedConfig> =>
  (await import('./load-flags.ts')).loadFlags(flags, terminal)
