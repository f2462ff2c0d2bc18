/** What is written in one turn of the event loop shares a transaction: a commit costs more than the rows in it. */
import { isStorageFault } from './storage-fault.ts'

interface Waiting {
  work: () => void
  resolve: () => void
  reject: (error: unknown) => void
}

export class Turn {
  readonly #transaction: (work: () => void) => void
  #waiting: Waiting[] = []

  constructor(transaction: (work: () => void) => void) {
    this.#transaction = transaction
  }

  add(work: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ work, resolve, reject }) === 1) setImmediate(() => this.#commit())
    })
  }

  #commit(): void {
    const all = this.#waiting
    this.#waiting = []
    const error = this.#write(all)
    // A row that cannot be written does not take its neighbours with it; a disk that takes nothing takes none of them.
    if (error === undefined || isStorageFault(error)) settle(all, error)
    else for (const one of all) settle([one], this.#write([one]))
  }

  /** Returns what was thrown; nothing is written then. */
  #write(all: readonly Waiting[]): unknown {
    try {
      this.#transaction(() => {
        for (const { work } of all) work()
      })
      return undefined
    } catch (error) {
      return error
    }
  }
}

function settle(all: readonly Waiting[], error: unknown): void {
  for (const { resolve, reject } of all) error === undefined ? resolve() : reject(error)
}
