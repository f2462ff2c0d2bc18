/**
 * A bound on the bytes of all large bodies that the process holds at once, shared fairly by agents. A request beyond it
 * is refused; a response, which is paid for, is received when there is room.
 */
import { CageError } from '../../core/errors.ts'
import { Places } from '../provider/places.ts'
import { GROWTH_BYTES } from './bytes.ts'

/** Of requests, and as many of responses: a call that waits for the one never keeps it from another. */
const MAX_BYTES = 256 * 1024 * 1024
/** A lone agent may hold half of them: two of the largest requests, or more. */
const MIN_REQUESTS = 4
/** Responses that wait for room, across all agents. */
const MAX_WAITING = 2_048

/** The large bodies of one call. */
export interface HeldBytes {
  /** Makes room for a request that has grown to `size` bytes. Throws CageError `too_many_streams`. */
  growTo(size: number): void
  /**
   * Resolves when there is room for a response of `size` bytes. Throws CageError `too_many_streams` when too many wait,
   * and the signal's reason when it fires.
   */
  waitFor(size: number, signal: AbortSignal): Promise<void>
  /** Call it when the bodies are not needed any more; idempotent. */
  release(): void
}

export class BodyMemory {
  readonly #requests: Places
  readonly #responses = new Places(MAX_BYTES, MAX_WAITING)

  /** `maxRequestBytes`: maximum size of a request. */
  constructor(maxRequestBytes: number) {
    this.#requests = new Places(Math.max(MAX_BYTES, MIN_REQUESTS * maxRequestBytes))
  }

  of(agentId: string): HeldBytes {
    let held = 0
    let isOver = false
    const releases: (() => void)[] = []
    const keep = (release: (() => void) | undefined) => {
      if (!release) throw tooMuchHeld(agentId)
      if (isOver) release()
      else releases.push(release)
    }
    return {
      growTo: (size) => {
        for (; held < size; held += GROWTH_BYTES) keep(this.#requests.tryTake(agentId, GROWTH_BYTES))
      },
      waitFor: async (size, signal) => keep(await this.#responses.take(agentId, signal, size)),
      release: () => {
        isOver = true
        for (const release of releases.splice(0)) release()
      },
    }
  }
}

const tooMuchHeld = (agentId: string): CageError =>
  new CageError('too_many_streams', `${agentId} has reached its share of memory for large bodies`, {
    facts: { agent_id: agentId, max_bytes: MAX_BYTES },
    hint: 'wait until some of the large calls have been answered',
    retryAfterS: 1,
  })
