/**
 * All circuits, by the name of a provider, a provider and model ("openai/gpt-4"), or a service. The only place where
 * circuits change: each change is recorded as an event, and a restarted server begins from these events.
 */

import type { BreakerConfig } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { CageError, CircuitOpenError } from '../core/errors.ts'
import type { NewEvent, Tier } from '../core/events.ts'
import type { CircuitView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import {
  admit,
  type BreakerSettings,
  type CallResult,
  type Circuit,
  type CircuitChange,
  close,
  closedCircuit,
  conclude,
  forceOpen,
  type Transition,
} from './breaker.ts'
import { TIER_WORDS } from './fallback.ts'

export interface CircuitSettings extends BreakerSettings {
  /** The first tier that answers while the circuit is open; null without a fallback. Only shown to people. */
  fallbackTier: Tier | null
}

/** The settings of a configured breaker, for calls that may take `maxCallMs`. */
export function settingsOf(
  { failures, failure_rate: rate, cooldown_s }: BreakerConfig,
  maxCallMs: number,
  fallbackTier: Tier | null,
): CircuitSettings {
  return { failures, rate, cooldownMs: cooldown_s * 1000, probeMs: maxCallMs, fallbackTier }
}

/** The right to make one attempt. Its outcome is reported once; later reports are ignored. */
export interface Permit {
  succeeded(): void
  /** `reason`: a few words for people, without secrets. `retryAfterMs`: the wait that the other side asked for. */
  failed(reason: string, retryAfterMs?: number): void
  /** Counts for nothing: the caller's own mistake, or the caller left. */
  ignored(): void
}

/** Names of models and services come from agents: beyond this many, only the provider's circuit guards them. */
const MAX_CIRCUITS = 200

const UNGUARDED: Permit = { succeeded: () => undefined, failed: () => undefined, ignored: () => undefined }

export class Circuits {
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #circuits = new Map<string, Circuit>()
  readonly #configured: ReadonlySet<string>

  /** Restores the recorded state. `configured`: all providers and services of the configuration. */
  constructor({ state, clock, configured = [] }: { state: StateManager; clock: Clock; configured?: Iterable<string> }) {
    this.#state = state
    this.#clock = clock
    this.#configured = new Set(configured)
    for (const view of Object.values(state.read().circuits)) this.#circuits.set(view.name, restored(view, clock))
  }

  /** Admits one attempt. Throws CircuitOpenError, which holds the time to wait. */
  enter(name: string, settings: CircuitSettings): Permit {
    if (!this.#hasRoom(name)) return UNGUARDED
    const admission = admit(this.#get(name), settings, this.#clock.monotonic())
    this.#take(name, admission, settings)
    const { ticket } = admission
    if (ticket === undefined) throw new CircuitOpenError(name, Math.max(1, Math.ceil(admission.waitMs / 1000)))
    let reported = false
    const report = (result: CallResult) => {
      if (reported) return
      reported = true
      this.#take(name, conclude(this.#get(name), ticket, result, settings, this.#clock.monotonic()), settings)
    }
    return {
      succeeded: () => report({ is: 'succeeded' }),
      failed: (reason, retryAfterMs) => report({ is: 'failed', reason, retryAfterMs }),
      ignored: () => report({ is: 'ignored' }),
    }
  }

  /** Closes a circuit immediately. `by`: who asked. Throws CageError `not_found` for a name that was never called. */
  reset(name: string, by: string): void {
    this.#requireKnown(name)
    const { circuit, changes } = close(this.#get(name))
    this.#keep(name, circuit)
    if (changes.length > 0) this.#state.record(closedEvent(name, 'operator', `reset by ${by}`))
  }

  /**
   * Opens a circuit until a person resets it. Throws CageError `not_found` for a name that is not configured and was
   * never called.
   */
  open(name: string, by: string): void {
    this.#requireKnown(name)
    const before = this.#get(name)
    if (before.state === 'open' && before.cooldownMs === null) return
    this.#keep(name, forceOpen(before, this.#clock.monotonic()))
    this.#state.record({
      type: 'circuit.opened',
      level: 'WARN',
      message: `Circuit OPEN for ${name}: opened by ${by}, until it is reset`,
      data: { circuit: name, failures: before.failures, cooldown_ms: 0, reason: `opened by ${by}`, tier: null, by },
    })
  }

  /**
   * Lets the next call probe, although the cooldown is not over, because the settings of a provider or service changed.
   * A circuit that a person opened stays open. `keys`: what changed, by name.
   */
  probeChanged(keys: ReadonlyMap<string, readonly string[]>): void {
    for (const [name, circuit] of this.#circuits) {
      const changed = keys.get(name.split(/[/@]/, 1)[0]!)
      if (!changed || circuit.state !== 'open' || circuit.cooldownMs === null) continue
      const { failures, epoch } = circuit
      this.#keep(name, { state: 'half_open', epoch: epoch + 1, failures, probeUntil: null })
      this.#state.record({
        type: 'circuit.half_opened',
        level: 'INFO',
        message: `Circuit HALF_OPEN for ${name}: ${changed.join(', ')} changed, one call probes`,
        data: { circuit: name },
      })
    }
  }

  #requireKnown(name: string): void {
    const provider = name.split('/', 1)[0]!
    if (this.#circuits.has(name) || this.#configured.has(provider)) return
    if (Object.hasOwn(this.#state.read().circuits, name)) return
    throw new CageError('not_found', `there is no circuit "${name}"`, {
      facts: { circuit: name },
      hint: 'list what there is with "iron-cage circuits list"',
    })
  }

  #hasRoom(name: string): boolean {
    if (this.#circuits.size < MAX_CIRCUITS || this.#circuits.has(name) || this.#configured.has(name)) return true
    const closed = [...this.#circuits].find(([, { state }]) => state === 'closed')
    return closed !== undefined && this.#circuits.delete(closed[0])
  }

  #get(name: string): Circuit {
    return this.#circuits.get(name) ?? closedCircuit
  }

  /** A circuit without failures is not stored: names of models come from agents. */
  #keep(name: string, circuit: Circuit): void {
    const { state, epoch, failures } = circuit
    if (state === 'closed' && epoch === 0 && failures === 0 && circuit.recent.length === 0) this.#circuits.delete(name)
    else this.#circuits.set(name, circuit)
  }

  #take(name: string, { circuit, changes }: Transition, settings: CircuitSettings): void {
    this.#keep(name, circuit)
    for (const change of changes) this.#state.record(changeEvent(name, change, settings.fallbackTier))
  }
}

function changeEvent(name: string, change: CircuitChange, tier: Tier | null): NewEvent {
  switch (change.to) {
    case 'open': {
      const { failures, of, cooldownMs, reason, reopened } = change
      const count = `${failures} ${failures === 1 ? 'failure' : 'failures'}${of === undefined ? '' : ` in ${of} calls`}`
      const why = reopened ? `again, ${reason}` : `after ${count}`
      const fallback = tier === null ? 'no fallback' : `fallback tier ${tier} (${TIER_WORDS[tier]})`
      return {
        type: 'circuit.opened',
        // A trip that continues is no new alert.
        level: reopened ? 'WARN' : 'CRIT',
        message: `Circuit OPEN for ${name} ${why} · ${fallback}`,
        data: {
          circuit: name,
          failures,
          ...(of === undefined ? {} : { of }),
          cooldown_ms: Math.round(cooldownMs),
          reason,
          tier,
        },
      }
    }
    case 'half_open':
      return {
        type: 'circuit.half_opened',
        level: 'INFO',
        message: `Circuit HALF_OPEN for ${name}: one call probes`,
        data: { circuit: name },
      }
    case 'closed':
      return closedEvent(name, 'probe', 'the probe succeeded')
  }
}

const closedEvent = (name: string, by: 'probe' | 'operator', why: string): NewEvent => ({
  type: 'circuit.closed',
  level: 'OK',
  message: `Circuit CLOSED for ${name}: ${why}`,
  data: { circuit: name, by },
})

/** The only use of wall time, since monotonic time ends with the process. A clock jump costs at most one cooldown. */
function restored({ state, opened_at, cooldown_ms, forced }: CircuitView, clock: Clock): Circuit {
  switch (state) {
    case 'closed':
      return closedCircuit
    case 'half_open':
      return { state, epoch: 0, failures: 0, probeUntil: null }
    case 'open': {
      if (forced) return forceOpen(closedCircuit, clock.monotonic())
      const passedMs = opened_at === null ? cooldown_ms : Math.max(0, clock.now() - Date.parse(opened_at))
      return { state, epoch: 0, failures: 0, openedAt: clock.monotonic() - passedMs, cooldownMs: cooldown_ms }
    }
  }
}
