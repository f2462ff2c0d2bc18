/** Limits how many responses stream at once. Each has two sockets, a redactor with its buffer, and a timer. */
import { CageError } from '../../core/errors.ts'
import { Places } from './places.ts'

/** Four times the most ever measured on one machine; at about 100 KB each they fit into 100 MB. */
export const MAX_OPEN_STREAMS = 1_024

export class OpenStreams {
  readonly #places = new Places(MAX_OPEN_STREAMS)

  /** Takes one place until disposed. Throws CageError `too_many_streams` when the agent may have no more. */
  take(agentId: string): Disposable {
    const release = this.#places.tryTake(agentId)
    if (release) return { [Symbol.dispose]: release }
    throw new CageError('too_many_streams', `${agentId} has reached its share of open streams`, {
      facts: { agent_id: agentId, max: MAX_OPEN_STREAMS },
      retryAfterS: 1,
    })
  }
}
