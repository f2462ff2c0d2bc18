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

/** ISO 8601 UTC with milliseconds. */
export const isoTime = (ms: number): string => new Date(ms).toISOString()
