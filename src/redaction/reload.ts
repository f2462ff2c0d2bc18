/** The configuration, read again while the server runs: what it says of safety holds at once, the rest after a restart. */
import { changedKeys } from '../config/config.ts'
import type { Config } from '../config/schema.ts'
import { CageError } from '../errors.ts'
import type { StateManager } from '../state/state-manager.ts'
import { forLogs, policyOf } from './policy.ts'
import type { Redactor } from './redactor.ts'

export interface ReloadParts {
  /** What the program works with. Its `safety` is changed in place: agents are told their policy from it. */
  config: Config
  /** The file that was read at the start. */
  file: string | null
  /** Reads it once more, as at the start. */
  load: () => { config: Config; file: string | null }
  redactor: Redactor
  logRedactor: Redactor
  state: StateManager
}

/**
 * Returns what reads again. What is wrong with the configuration is told, and nothing changes then; that nothing has
 * changed is told only to who asked.
 */
export function reloadOf({
  config,
  file,
  load,
  redactor,
  logRedactor,
  state,
}: ReloadParts): (isAsked: boolean) => void {
  const read = (isAsked: boolean) => {
    const next = load()
    if (next.file !== file) throw new CageError('invalid_config', `${file} is not there any more`)
    const changed = changedKeys(config, next.config)
    if (changed.length === 0 && !isAsked) return
    const { safety } = next.config
    const later = changed.filter((key) => !key.startsWith('safety.'))
    redactor.follow(policyOf(safety))
    logRedactor.follow(forLogs(policyOf(safety)))
    Object.assign(config.safety, safety)
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
