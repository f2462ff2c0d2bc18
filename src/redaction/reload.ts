/** Reloads the configuration while the server runs: safety settings apply at once, others after a restart. */
import type { LoadedConfig } from '../config/config.ts'
import type { Policies } from '../config/policy.ts'
import type { RunningConfig } from '../config/running-config.ts'
import { CageError } from '../core/errors.ts'
import type { PolicyState } from '../protocol/control-messages.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Safety } from './safety.ts'

/** Loads the configuration. `policy`: instead of the one that was kept; null for none. */
export type Load = (policy?: Policies | null) => LoadedConfig

/** A policy that the Control Panel has sent; `keep` is called when it can be used. */
export interface ReceivedPolicy {
  state: PolicyState
  keep: () => void
}

export interface ReloadOptions {
  running: RunningConfig
  /** Loads it again, as at the start. */
  load: Load
  safety: Safety
  state: StateManager
}

/**
 * Returns a function that reloads, also with a policy that was received. An invalid configuration is recorded and changes
 * nothing; an unchanged one is recorded only if the reload was requested.
 */
export function reloadOf({ running, load, safety, state }: ReloadOptions): Reload {
  const { file } = running
  const read = (isRequested: boolean, received: ReceivedPolicy | undefined) => {
    const next = load(received?.state)
    if (next.file !== file) throw new CageError('invalid_config', `${file} no longer exists`)
    received?.keep()
    const { changed, later } = running.take(next)
    if (changed.length === 0 && !isRequested && !received) return
    safety.apply(next.config.safety)
    state.record({
      type: 'config.loaded',
      level: later.length > 0 ? 'WARN' : 'INFO',
      message:
        `${received ? nameOf(received) : 'Configuration reloaded'}: ${changed.join(', ') || 'nothing'} changed` +
        (later.length > 0 ? `; needs a restart: ${later.join(', ')}` : ''),
      data: { file, changed, needs_restart: later, safety: { mode: safety.mode, detect: safety.detect } },
    })
  }
  return (isRequested, received) => {
    try {
      read(isRequested, received)
    } catch (error) {
      if (!(error instanceof CageError)) throw error
      const { message: reason } = error
      const what = received ? `${nameOf(received)} not applied` : 'Configuration not reloaded'
      state.record({
        type: 'config.refused',
        level: 'ERROR',
        message: `${what}, nothing changed: ${reason.replaceAll('\n', ' · ')}`,
        data: { file, reason },
      })
    }
  }
}

export type Reload = (isRequested: boolean, received?: ReceivedPolicy) => void

const nameOf = ({ state: { revision, settings, environments } }: ReceivedPolicy): string => {
  const isEmpty = !settings && Object.keys(environments).length === 0
  return `Policy ${revision} of the Control Panel${isEmpty ? ' (sets nothing here)' : ''}`
}
