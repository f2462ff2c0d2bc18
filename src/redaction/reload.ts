/** The configuration, read again while the server runs: what it says of safety holds at once, the rest after a restart. */
import { changedKeys } from '../config/config.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../errors.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Safety } from './safety.ts'

export interface ReloadOptions {
  /** As it was read at the start. */
  config: Config
  /** The file that was read at the start. */
  file: string | null
  /** Reads it once more, as at the start. */
  load: () => { config: Config; file: string | null }
  safety: Safety
  state: StateManager
}

/**
 * Returns a function that reads again. What is wrong with the configuration is recorded, and nothing changes then; that
 * nothing has changed is recorded only when somebody asked.
 */
export function reloadOf({ config, file, load, safety, state }: ReloadOptions): (isAsked: boolean) => void {
  let present = config
  const read = (isAsked: boolean) => {
    const next = load()
    if (next.file !== file) throw new CageError('invalid_config', `${file} is not there any more`)
    const changed = changedKeys(present, next.config)
    if (changed.length === 0 && !isAsked) return
    const later = changed.filter((key) => !key.startsWith('safety.'))
    present = { ...present, safety: next.config.safety }
    safety.apply(next.config.safety)
    state.record({
      type: 'config.loaded',
      level: later.length > 0 ? 'WARN' : 'INFO',
      message:
        `Configuration read again: ${changed.join(', ') || 'nothing'} changed` +
        (later.length > 0 ? `; needs a restart: ${later.join(', ')}` : ''),
      data: { file, changed, needs_restart: later, safety: { mode: safety.mode, detect: safety.detect } },
    })
  }
  return (isAsked) => {
    try {
      read(isAsked)
    } catch (error) {
      if (!(error instanceof CageError)) throw error
      const { message: reason } = error
      state.record({
        type: 'config.refused',
        level: 'ERROR',
        message: `Configuration not read again, everything stays as it was: ${reason.replaceAll('\n', ' · ')}`,
        data: { file, reason },
      })
    }
  }
}
