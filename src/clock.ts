/** Time, passed to whoever needs it so that tests can move it by hand. */
export interface Clock {
  /** Wall time in milliseconds since 1970, for timestamps only. */
  now(): number
  /** Milliseconds that never go backwards, for every duration and deadline. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
}

/** The wall time of a clock, but never earlier than it was told before: what has expired stays so when it is set back. */
export function forwardTime(clock: Clock): () => number {
  let latest = 0
  return () => {
    latest = Math.max(latest, clock.now())
    return latest
  }
}

let last = { ms: 0, iso: new Date(0).toISOString() }

/** ISO 8601 UTC with milliseconds. */
export function isoTime(ms: number): string {
  // Of most times several are written: that of a call is in its row, its event, and the log.
  if (ms !== last.ms) last = { ms, iso: new Date(ms).toISOString() }
  return last.iso
}
