/** Reloads the configuration while the server runs: safety settings apply at once, others after a restart. */
import { changedKeys } from '../config/config.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../errors.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Safety } from './safety.ts'

export interface ReloadOptions {
  /** The configuration of the start. */
  config: Config
  /** The file of the start. */
  file: string | null
  /** Loads it again, as at the start. */
  load: () => { config: Config; file: string | null }
  safety: Safety
  state: StateManager
}

/**
 * Returns a function that reloads. An invalid configuration is recorded and changes nothing; an unchanged one is
 * recorded only if the reload was requested.
 */
export function reloadOf({ config, file, load, safety, state }: ReloadOptions): (isRequested: boolean) => void {
  let current = config
  const read = (isRequested: boolean) => {
    const next = load()
    if (next.file !== file) throw new CageError('invalid_config', `${file} no longer exists`)
    const changed = changedKeys(current, next.config)
    if (changed.length === 0 && !isRequested) return
    const later = changed.filter((key) => !key.startsWith('safety.'))
    current = { ...current, safety: next.config.safety }
    safety.apply(next.config.safety)
    state.record({
      type: 'config.loaded',
      level: later.length > 0 ? 'WARN' : 'INFO',
      message:
        `Configuration reloaded: ${changed.join(', ') || 'nothing'} changed` +
        (later.length > 0 ? `; needs a restart: ${later.join(', ')}` : ''),
      data: { file, changed, needs_restart: later, safety: { mode: safety.mode, detect: safety.detect } },
    })
  }
  return (isRequested) => {
    try {
      read(isRequested)
    } catch (error) {
      if (!(error instanceof CageError)) throw error
      const { message: reason } = error
      state.record({
        type: 'config.refused',
        level: 'ERROR',
        message: `Configuration not reloaded, nothing changed: ${reason.replaceAll('\n', ' · ')}`,
        data: { file, reason },
      })
    }
  }
}
