/** Writes of one turn of the event loop share a transaction: a commit costs more than the rows in it. */
import { isStorageFault } from './storage-fault.ts'

interface Share {
  write: () => void
  ended: (error?: unknown) => void
}

export class GroupCommit {
  readonly #transaction: (work: () => void) => void
  #shares: Share[] = []

  constructor(transaction: (work: () => void) => void) {
    this.#transaction = transaction
  }

  /** `ended` is called right after the commit, or with the error when nothing of this write is stored. */
  add(write: () => void, ended: (error?: unknown) => void): void {
    if (this.#shares.push({ write, ended }) === 1) setImmediate(() => this.#end())
  }

  #end(): void {
    const shares = this.#shares
    this.#shares = []
    const error = this.#write(shares)
    // A failing write does not affect the others in its group; a failing disk fails them all.
    if (error === undefined || isStorageFault(error)) for (const { ended } of shares) ended(error)
    else for (const share of shares) share.ended(this.#write([share]))
  }

  /** Returns the error, if any; nothing is written then. */
  #write(shares: readonly Share[]): unknown {
    try {
      this.#transaction(() => {
        for (const { write } of shares) write()
      })
      return undefined
    } catch (error) {
      return error
    }
  }
}
