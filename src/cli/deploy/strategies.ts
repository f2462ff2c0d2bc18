/** The strategies that commands use: ours, and those of `strategies/` beside the configuration. */
import { readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { AgentFolders } from '../../config/agent-folders.ts'
import { findStrategies, type Strategies } from '../../deploy/strategies.ts'
import type { Terminal } from '../output/terminal.ts'
import type { ConfigFlags } from '../settings/flags.ts'
import { loadFlags } from '../settings/load-flags.ts'

/** Throws what `loadFlags` and `findStrategies` throw. */
export function loadStrategies(flags: ConfigFlags, terminal: Terminal): Strategies {
  const { file } = loadFlags(flags, terminal)
  return findStrategies(join(file === null ? terminal.cwd : dirname(file), 'strategies'))
}

/** A strategy names commands to run: one that an agent may have written is refused. Throws CageError `config_untrusted`. */
export function requireUntouched(folder: string, terminal: Terminal): void {
  const folders = new AgentFolders(terminal.env.variables.HOME)
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) folders.requireUntouched(join(entry.parentPath, entry.name))
  }
}
