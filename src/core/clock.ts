/** Time, passed as a value so that tests can move it by hand. Nothing else in the process reads or awaits it. */
export interface Clock {
  /** Wall time in milliseconds since 1970, for timestamps only. */
  now(): number
  /** Milliseconds that never go backwards, for every duration and deadline. */
  monotonic(): number
  /** Calls `run` once, in `ms` milliseconds. */
  after(ms: number, run: () => void): Timer
  /** Resolves in `ms` milliseconds. Rejects with the signal's reason as soon as it is aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** One scheduled call. */
export interface Timer {
  /** Does nothing once it has run. */
  cancel(): void
  /** Lets the process exit before it runs. Returns the timer. */
  unref(): this
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (ms, run) => new SystemTimer(ms, run),
  sleep: (ms, signal) => sleepOn(systemClock, ms, signal),
}

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout

  constructor(ms: number, run: () => void) {
    this.#timeout = setTimeout(run, ms)
  }

  cancel(): void {
    clearTimeout(this.#timeout)
  }

  unref(): this {
    this.#timeout.unref()
    return this
  }
}

/** Implements sleep with the timers of a clock. */
export function sleepOn(clock: Pick<Clock, 'after'>, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const aborted = () => {
      timer.cancel()
      reject(signal!.reason)
    }
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', aborted)
      resolve()
    })
    signal?.addEventListener('abort', aborted, { once: true })
  })
}

/** Calls `run` every `ms` milliseconds until the returned function is called. Does not keep the process alive. */
export function every(clock: Pick<Clock, 'after'>, ms: number, run: () => void): () => void {
  let timer: Timer
  const schedule = () => {
    timer = clock
      .after(ms, () => {
        schedule()
        run()
      })
      .unref()
  }
  schedule()
  return () => timer.cancel()
}

/** The wall time of a clock that never goes back: an expired lifetime stays expired when the clock is set back. */
export function forwardTime(clock: Pick<Clock, 'now'>): () => number {
  let latest = 0
  return () => {
    latest = Math.max(latest, clock.now())
    return latest
  }
}

let last = { ms: 0, iso: new Date(0).toISOString() }

/** ISO 8601 UTC with milliseconds. */
export function isoTime(ms: number): string {
  // Most times are written several times: a call's is in its row, its event, and the log.
  if (ms !== last.ms) last = { ms, iso: new Date(ms).toISOString() }
  return last.iso
}
