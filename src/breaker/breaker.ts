/**
 * Circuit breakers: they keep failing providers and services from being called, and provide fallbacks meanwhile.
 * breaker.ts decides (this file, pure), circuits.ts holds every circuit by name and records what happened, retry.ts
 * repeats attempts, fallback.ts answers in place of a service. Used by `gateway/`.
 *
 * The rules are:
 * - closed → open after a number of consecutive failures, or at a failure rate over the last calls; open → half_open at
 *   the first call after the cooldown; half_open → closed or open by the result of one probe call.
 * - A circuit opened by a person stays open until a person closes it.
 * - At most one probe at a time. A probe has a deadline, after which the circuit is open again even without a report.
 * - Every transition begins a new epoch, and a ticket is the epoch in which a call was admitted. Results from an earlier
 *   epoch are ignored, so that calls begun before a trip can neither close the circuit nor prolong the trip.
 * - Times are monotonic milliseconds. Nothing here owns a timer: time passes when a method is called.
 */

import { MAX_RETRY_AFTER_MS } from './retry.ts'

export interface BreakerSettings {
  /** Consecutive failures that open the circuit, unless there is a rate. */
  failures: number
  /** Opens when this share of the last `calls` calls failed, once there were that many. */
  rate?: { share: number; calls: number } | undefined
  /** Cooldown of an open circuit in ms, unless the other side asks for longer. */
  cooldownMs: number
  /** How long a probe may take, in ms; not less than the time limit of the call itself. */
  probeMs: number
}

/** Default settings. */
export const BREAKER_DEFAULTS = { failures: 5, cooldownMs: 60_000 } as const

/** `recent`: whether the last calls failed, oldest first; only with a rate. */
export type Circuit = { readonly epoch: number } & (
  | { readonly state: 'closed'; readonly failures: number; readonly recent: readonly boolean[] }
  /** `cooldownMs` is null when a person opened it. */
  | { readonly state: 'open'; readonly failures: number; readonly openedAt: number; readonly cooldownMs: number | null }
  /** `probeUntil` is null until a caller probes. */
  | { readonly state: 'half_open'; readonly failures: number; readonly probeUntil: number | null }
)

/** The epoch a call was admitted in. */
export type Ticket = Circuit['epoch']

export type CallResult =
  | { is: 'succeeded' }
  /** `retryAfterMs`: the wait that the other side asked for. */
  | { is: 'failed'; reason: string; retryAfterMs?: number | undefined }
  /** Says nothing about the other side: the caller's own mistake, or the caller left. */
  | { is: 'ignored' }

export type CircuitChange =
  /** `reopened`: a probe failed, so a trip goes on. `of`: the failures are among this many calls, not consecutive. */
  | { to: 'open'; failures: number; of?: number; cooldownMs: number; reason: string; reopened: boolean }
  | { to: 'half_open' }
  | { to: 'closed' }

export interface Transition {
  circuit: Circuit
  /** In order; usually empty. */
  changes: readonly CircuitChange[]
}

/** Either a ticket, or how long to wait in ms. */
export type CircuitAdmission = Transition &
  ({ ticket: Ticket; waitMs?: undefined } | { ticket?: undefined; waitMs: number })

export const closedCircuit: Circuit = { state: 'closed', epoch: 0, failures: 0, recent: [] }

/** Decides whether a call may begin now. */
export function admit(circuit: Circuit, settings: BreakerSettings, now: number): CircuitAdmission {
  switch (circuit.state) {
    case 'closed':
      return { circuit, changes: [], ticket: circuit.epoch }
    case 'open': {
      if (circuit.cooldownMs === null) return { circuit, changes: [], waitMs: settings.cooldownMs }
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

/** Applies the result of the call that was admitted with `ticket`. */
export function conclude(
  circuit: Circuit,
  ticket: Ticket,
  result: CallResult,
  settings: BreakerSettings,
  now: number,
): Transition {
  if (ticket !== circuit.epoch || circuit.state === 'open') return { circuit, changes: [] }
  switch (result.is) {
    case 'succeeded':
      return circuit.state === 'closed' ? { circuit: counted(circuit, settings, false), changes: [] } : close(circuit)
    case 'failed': {
      if (circuit.state === 'half_open') return open(circuit, settings, now, result)
      const after = counted(circuit, settings, true)
      return isTripped(after, settings) ? open(after, settings, now, result) : { circuit: after, changes: [] }
    }
    case 'ignored':
      return {
        circuit: circuit.state === 'closed' ? circuit : { ...circuit, epoch: circuit.epoch + 1, probeUntil: null },
        changes: [],
      }
  }
}

type Closed = Extract<Circuit, { state: 'closed' }>

function counted(circuit: Closed, { rate }: BreakerSettings, hasFailed: boolean): Closed {
  const recent = rate ? [...circuit.recent, hasFailed].slice(-rate.calls) : []
  return { ...circuit, failures: hasFailed ? circuit.failures + 1 : 0, recent }
}

function isTripped({ failures, recent }: Closed, settings: BreakerSettings): boolean {
  const { rate } = settings
  if (!rate) return failures >= settings.failures
  return recent.length >= rate.calls && failed(recent) / recent.length >= rate.share
}

const failed = (recent: readonly boolean[]): number => recent.filter(Boolean).length

/** Opens the circuit until `close`; results of running calls are ignored. */
export function forceOpen(circuit: Circuit, now: number): Circuit {
  return { state: 'open', epoch: circuit.epoch + 1, failures: circuit.failures, openedAt: now, cooldownMs: null }
}

/** Closes the circuit; results of running calls are ignored. */
export function close(circuit: Circuit): Transition {
  return {
    circuit: { ...closedCircuit, epoch: circuit.epoch + 1 },
    changes: circuit.state === 'closed' ? [] : [{ to: 'closed' }],
  }
}

function beginProbe(
  circuit: Circuit,
  settings: BreakerSettings,
  now: number,
  changes: CircuitChange[],
): CircuitAdmission {
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
): Transition {
  const reopened = circuit.state === 'half_open'
  const isRate = settings.rate !== undefined && circuit.state === 'closed'
  // A failed probe is one more failure of the same trip.
  const failures = isRate ? failed(circuit.recent) : reopened ? circuit.failures + 1 : circuit.failures
  const cooldownMs = Math.max(settings.cooldownMs, clampRetryAfter(retryAfterMs))
  const calls = isRate ? { of: circuit.recent.length } : {}
  return {
    circuit: { state: 'open', epoch: circuit.epoch + 1, failures, openedAt, cooldownMs },
    changes: [{ to: 'open', failures, ...calls, cooldownMs, reason, reopened }],
  }
}

const clampRetryAfter = (ms: number | undefined): number =>
  ms === undefined || Number.isNaN(ms) ? 0 : Math.min(MAX_RETRY_AFTER_MS, Math.max(0, ms))
