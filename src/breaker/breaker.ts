/**
 * Circuits: what keeps a failing provider or service from being called, and what is answered meanwhile.
 * breaker.ts decides (this file, pure), circuits.ts holds every circuit by name and tells what happened, retry.ts
 * repeats attempts, fallback.ts answers in place of a service. The roads in `gateway/` are the users.
 *
 * The rules are:
 * - closed → open at so many consecutive failures; open → half_open when the cooldown is over and somebody calls;
 *   half_open → closed or open by what becomes of one probe call.
 * - At most one probe at a time. A probe has a deadline: after it the circuit is open again, whoever forgot to report.
 * - Every change of state begins a new epoch, and a ticket is the epoch a call was admitted in. A result of an earlier
 *   epoch changes nothing, so that calls begun before a trip can neither close the circuit nor prolong the trip.
 * - Times are monotonic milliseconds. Nothing here owns a timer: time passes when somebody calls.
 */

export interface BreakerSettings {
  /** Consecutive failures that open the circuit. */
  failures: number
  /** How long an open circuit refuses, in ms, unless the other side asks for longer. */
  cooldownMs: number
  /** How long a probe may take, in ms; not less than the time limit of the call itself. */
  probeMs: number
}

/** What a circuit does when nobody says otherwise. */
export const BREAKER_DEFAULTS = { failures: 5, cooldownMs: 60_000 } as const

export type Circuit = { readonly epoch: number } & (
  | { readonly state: 'closed'; readonly failures: number }
  | { readonly state: 'open'; readonly failures: number; readonly openedAt: number; readonly cooldownMs: number }
  /** `probeUntil` is null while nobody probes: the next caller does. */
  | { readonly state: 'half_open'; readonly failures: number; readonly probeUntil: number | null }
)

/** The epoch a call was admitted in. */
export type Ticket = Circuit['epoch']

export type Result =
  | { is: 'succeeded' }
  /** `retryAfterMs`: how long the other side asked to be left alone. */
  | { is: 'failed'; reason: string; retryAfterMs?: number | undefined }
  /** Tells nothing about the other side: the caller's own mistake, or the caller left. */
  | { is: 'ignored' }

export type Change =
  /** `again`: a probe failed, so a trip goes on. */
  | { to: 'open'; failures: number; cooldownMs: number; reason: string; again: boolean }
  | { to: 'half_open' }
  | { to: 'closed' }

export interface Step {
  circuit: Circuit
  /** In order; mostly none. */
  changes: readonly Change[]
}

/** Either a ticket, or how long to stay away in ms. */
export type Admission = Step & ({ ticket: Ticket; waitMs?: undefined } | { ticket?: undefined; waitMs: number })

const DAY_MS = 86_400_000

export const closedCircuit: Circuit = { state: 'closed', epoch: 0, failures: 0 }

/** May a call begin now? */
export function admit(circuit: Circuit, settings: BreakerSettings, now: number): Admission {
  switch (circuit.state) {
    case 'closed':
      return { circuit, changes: [], ticket: circuit.epoch }
    case 'open': {
      const waitMs = circuit.openedAt + circuit.cooldownMs - now
      return waitMs > 0 ? { circuit, changes: [], waitMs } : beginProbe(circuit, settings, now, [{ to: 'half_open' }])
    }
    case 'half_open': {
      if (circuit.probeUntil === null) return beginProbe(circuit, settings, now, [])
      if (now < circuit.probeUntil) return { circuit, changes: [], waitMs: circuit.probeUntil - now }
      const reopened = open(circuit, settings, circuit.probeUntil, { reason: 'the probe gave no answer in time' })
      const admission = admit(reopened.circuit, settings, now)
      return { ...admission, changes: [...reopened.changes, ...admission.changes] }
    }
  }
}

/** What becomes of the circuit by the result of the call that was admitted with `ticket`. */
export function conclude(
  circuit: Circuit,
  ticket: Ticket,
  result: Result,
  settings: BreakerSettings,
  now: number,
): Step {
  if (ticket !== circuit.epoch || circuit.state === 'open') return { circuit, changes: [] }
  switch (result.is) {
    case 'succeeded':
      return circuit.state === 'closed' ? { circuit: { ...circuit, failures: 0 }, changes: [] } : close(circuit)
    case 'failed':
      return circuit.state === 'half_open' || circuit.failures + 1 >= settings.failures
        ? open(circuit, settings, now, result)
        : { circuit: { ...circuit, failures: circuit.failures + 1 }, changes: [] }
    case 'ignored':
      return {
        circuit: circuit.state === 'closed' ? circuit : { ...circuit, epoch: circuit.epoch + 1, probeUntil: null },
        changes: [],
      }
  }
}

/** Closed from now on, whatever it was; results of calls that run are no longer asked for. */
export function close(circuit: Circuit): Step {
  return {
    circuit: { state: 'closed', epoch: circuit.epoch + 1, failures: 0 },
    changes: circuit.state === 'closed' ? [] : [{ to: 'closed' }],
  }
}

function beginProbe(circuit: Circuit, settings: BreakerSettings, now: number, changes: Change[]): Admission {
  const epoch = circuit.epoch + 1
  return {
    circuit: { state: 'half_open', epoch, failures: circuit.failures, probeUntil: now + settings.probeMs },
    changes,
    ticket: epoch,
  }
}

function open(
  circuit: Circuit,
  settings: BreakerSettings,
  openedAt: number,
  { reason, retryAfterMs }: { reason: string; retryAfterMs?: number | undefined },
): Step {
  const failures = circuit.failures + 1
  const cooldownMs = Math.max(settings.cooldownMs, clampRetryAfter(retryAfterMs))
  return {
    circuit: { state: 'open', epoch: circuit.epoch + 1, failures, openedAt, cooldownMs },
    changes: [{ to: 'open', failures, cooldownMs, reason, again: circuit.state === 'half_open' }],
  }
}

/** What others ask for is obeyed within a day; nonsense is not. */
const clampRetryAfter = (ms: number | undefined): number =>
  ms === undefined || Number.isNaN(ms) ? 0 : Math.min(DAY_MS, Math.max(0, ms))
