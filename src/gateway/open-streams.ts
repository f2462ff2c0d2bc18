/** How many answers stream at once. Each has two sockets, a redactor with what it holds back, and a timer. */
import { CageError } from '../errors.ts'

/** Four times what one machine's agents were ever measured with; at about 100 KB each they fit into 100 MB. */
export const MOST_OPEN_STREAMS = 1_024

export class OpenStreams {
  #open = 0

  /** Takes one place until it is disposed of. Throws CageError `too_many_streams` when all are taken. */
  take(): Disposable {
    if (this.#open >= MOST_OPEN_STREAMS) {
      throw new CageError('too_many_streams', `${MOST_OPEN_STREAMS} streams are open, and one more was not opened`, {
        facts: { most: MOST_OPEN_STREAMS },
        retryAfterS: 1,
      })
    }
    this.#open += 1
    let isTaken = true
    return {
      [Symbol.dispose]: () => {
        if (isTaken) this.#open -= 1
        isTaken = false
      },
    }
  }
}
