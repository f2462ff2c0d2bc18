/**
 * Every circuit by the name of its provider or service. The one place where circuits change: each change is recorded
 * as an event, and what the events told is where a restarted server begins.
 */
import type { Clock } from '../clock.ts'
import { CageError, CircuitOpenError } from '../errors.ts'
import type { NewEvent, Tier } from '../events.ts'
import type { CircuitView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import {
  admit,
  type BreakerSettings,
  type Change,
  type Circuit,
  close,
  closedCircuit,
  conclude,
  type Result,
  type Step,
} from './breaker.ts'
import { TIER_WORDS } from './fallback.ts'

export interface CircuitSettings extends BreakerSettings {
  /** The first tier that answers while the circuit is open; null without a fallback. Told to people only. */
  fallbackTier: Tier | null
}

/** The right to make one attempt. Say what became of it, once: later reports change nothing. */
export interface Permit {
  succeeded(): void
  /** `reason`: a few words for people, without secrets. `retryAfterMs`: what the other side asked for. */
  failed(reason: string, retryAfterMs?: number): void
  /** Counts for nothing: the caller's own mistake, or the caller left. */
  ignored(): void
}

export class Circuits {
  readonly #state: StateManager
  readonly #clock: Clock
  readonly #circuits = new Map<string, Circuit>()

  /** Begins with what the state tells. */
  constructor({ state, clock }: { state: StateManager; clock: Clock }) {
    this.#state = state
    this.#clock = clock
    for (const view of Object.values(state.read().circuits)) this.#circuits.set(view.name, restored(view, clock))
  }

  /** Lets one attempt through. Throws CircuitOpenError, which says when to come again. */
  enter(name: string, settings: CircuitSettings): Permit {
    const admission = admit(this.#get(name), settings, this.#clock.monotonic())
    this.#take(name, admission, settings)
    const { ticket } = admission
    if (ticket === undefined) throw new CircuitOpenError(name, Math.max(1, Math.ceil(admission.waitMs / 1000)))
    let reported = false
    const report = (result: Result) => {
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

  /** Closes a circuit at once. `by`: who wanted it. Throws CageError `not_found` for a name nobody has called. */
  reset(name: string, by: string): void {
    if (!this.#circuits.has(name) && !Object.hasOwn(this.#state.read().circuits, name)) {
      throw new CageError('not_found', `there is no circuit "${name}"`, { facts: { circuit: name } })
    }
    const { circuit, changes } = close(this.#get(name))
    this.#circuits.set(name, circuit)
    if (changes.length > 0) this.#state.record(closedEvent(name, 'operator', `reset by ${by}`))
  }

  #get(name: string): Circuit {
    return this.#circuits.get(name) ?? closedCircuit
  }

  #take(name: string, { circuit, changes }: Step, settings: CircuitSettings): void {
    this.#circuits.set(name, circuit)
    for (const change of changes) this.#state.record(changeEvent(name, change, settings.fallbackTier))
  }
}

function changeEvent(name: string, change: Change, tier: Tier | null): NewEvent {
  switch (change.to) {
    case 'open': {
      const { failures, cooldownMs, reason, again } = change
      const why = again ? `again, ${reason}` : `after ${failures} ${failures === 1 ? 'failure' : 'failures'}`
      const fallback = tier === null ? 'no fallback' : `fallback tier ${tier} (${TIER_WORDS[tier]})`
      return {
        type: 'circuit.opened',
        // A trip that goes on is no new alarm.
        level: again ? 'WARN' : 'CRIT',
        message: `Circuit OPEN for ${name} ${why} · ${fallback}`,
        data: { circuit: name, failures, cooldown_ms: Math.round(cooldownMs), reason, tier },
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

/** The only use of wall time: monotonic time does not outlive a process. A clock that jumped costs at most one cooldown. */
function restored({ state, opened_at, cooldown_ms }: CircuitView, clock: Clock): Circuit {
  switch (state) {
    case 'closed':
      return closedCircuit
    case 'half_open':
      return { state, epoch: 0, failures: 0, probeUntil: null }
    case 'open': {
      const passedMs = opened_at === null ? cooldown_ms : Math.max(0, clock.now() - Date.parse(opened_at))
      return { state, epoch: 0, failures: 0, openedAt: clock.monotonic() - passedMs, cooldownMs: cooldown_ms }
    }
  }
}
