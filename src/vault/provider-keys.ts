/**
 * The keys that the gateway sends calls with: from the vault, else from the Control Panel, else from the server's own
 * environment.
 *
 * The rules are:
 * - A replaced key is still accepted: a client object built before the rotation continues to work, and the provider
 *   receives the current value.
 * - A new key is on trial until the provider has accepted it, for five minutes at most. When the provider answers 401
 *   to it, the call is sent once more with the previous key; if that one is accepted, the vault rolls back
 *   automatically and reports it. A key of the Control Panel is never rolled back here. A 401 alone is not enough: other headers of a call can cause it too.
 */

import { ENVIRONMENTS } from '../config/environments.ts'
import type { Clock } from '../core/clock.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { CentralSecrets } from './central-secrets.ts'
import type { Vault } from './vault.ts'

export interface ProviderKeysOptions {
  vault: Pick<Vault, 'loaded' | 'isLocked' | 'find' | 'valueOf' | 'currentOf' | 'rollBack'>
  /** (Default: none.) */
  central?: Pick<CentralSecrets, 'valueOf' | 'currentOf'> | undefined
  state: StateManager
  clock: Clock
  /** The names of secrets that are provider keys. */
  names: readonly string[]
  /** The server's own environment. */
  variables: Readonly<Record<string, string>>
  onFault: (error: unknown, what: string) => void
  /** Maximum trial of a new key, in ms. (Default: five minutes.) */
  trialMs?: number
}

interface Trial {
  id: string
  name: string
  environment: string
  /** The previous value. */
  former: string
  /** Monotonic ms. */
  until: number
  isReturning: boolean
}

const TRIAL_MS = 300_000

export class ProviderKeys {
  readonly #options: ProviderKeysOptions
  /** The last known value of each watched secret. */
  readonly #known = new Map<string, string>()
  /** By new value. */
  readonly #trials = new Map<string, Trial>()
  readonly #unsubscribe: () => void
  /** Resolves when the vault's keys are available; until then only the environment's are. */
  readonly loaded: Promise<void>

  constructor(options: ProviderKeysOptions) {
    this.#options = options
    const names = new Set(options.names)
    this.loaded = options.vault.loaded.then(() => {
      for (const name of names) for (const environment of ENVIRONMENTS) this.#refresh(name, environment)
    })
    this.#unsubscribe = options.state.subscribe(({ type, data }) => {
      if ((type === 'secret.created' || type === 'secret.updated') && names.has(data.name)) {
        this.#refresh(data.name, data.environment)
      }
    })
  }

  /** The key of this name; undefined when there is none, or the vault that has it is locked. */
  find(name: string, environment: string): string | undefined {
    const { vault, central, variables } = this.#options
    return vault.valueOf(name, environment) ?? central?.valueOf(name, environment) ?? (variables[name] || undefined)
  }

  /** True when the key is in the vault and the vault is locked. */
  isSealed(name: string, environment: string): boolean {
    const { vault } = this.#options
    return vault.isLocked && vault.find(name, environment) !== undefined
  }

  /** The key's replacement; the key itself when it was not replaced. */
  currentKeyFor(key: string): string {
    const { vault, central } = this.#options
    return vault.currentOf(key)?.value ?? central?.currentOf(key)?.value ?? key
  }

  /** The key to try after a refusal: the current one, or the one before a key on trial. */
  alternateKeyFor(key: string): string | undefined {
    const present = this.currentKeyFor(key)
    if (present !== key) return present
    const trial = this.#trials.get(key)
    return trial && this.#options.clock.monotonic() < trial.until ? trial.former : undefined
  }

  /** Records that the provider accepted a key; `refused`: the key that it answered 401 to for the same call. */
  accepted(key: string, refused?: string): void {
    const trial = refused === undefined ? undefined : this.#trials.get(refused)
    if (!trial) this.#trials.delete(key)
    else if (trial.former === key && !trial.isReturning) void this.#goBack(trial)
  }

  close(): void {
    this.#unsubscribe()
  }

  #refresh(name: string, environment: string): void {
    const { vault, clock, trialMs = TRIAL_MS } = this.#options
    const place = `${environment} ${name}`
    const former = this.#known.get(place)
    const value = vault.valueOf(name, environment)
    if (value === undefined || value === former) return
    this.#known.set(place, value)
    const secret = vault.find(name, environment)
    const isReturn = former !== undefined && this.#trials.get(former)?.isReturning
    if (former === undefined || isReturn || !secret) return
    const until = clock.monotonic() + trialMs
    this.#trials.set(value, { id: secret.id, name, environment, former, until, isReturning: false })
  }

  async #goBack(trial: Trial): Promise<void> {
    const { vault, state, onFault } = this.#options
    const { id, name, environment } = trial
    trial.isReturning = true
    try {
      await vault.rollBack(id, { role: 'system', actor: 'iron-cage', agentId: null })
      state.record({
        type: 'secret.rolled_back',
        level: 'CRIT',
        message: `${name} of ${environment} was rolled back: the provider refused the new value`,
        data: { name, environment },
      })
    } catch (error) {
      onFault(error, `cannot roll back ${name}`)
    }
  }
}
