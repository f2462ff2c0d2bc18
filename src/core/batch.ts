/**
 * What arrives while one round of work runs goes together into the next, as in DataLoader: one query or transaction for
 * many callers. Rounds run one at a time, and each begins after its items were added.
 */

export interface BatchOptions<Item> {
  /** Awaited before each round, so that more items can join it; never rejects. (Default: the end of the present task.) */
  gather?: () => Promise<unknown>
  /** Returns the items of a round, at least one. (Default: all that wait.) */
  choose?: (waiting: readonly Item[]) => readonly Item[]
}

interface Waiting<Item, Result> {
  item: Item
  resolve: (result: Result) => void
  reject: (error: unknown) => void
}

export class Batch<Item, Result> {
  readonly #run: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>
  readonly #options: BatchOptions<Item>
  #waiting: Waiting<Item, Result>[] = []
  #isRunning = false

  /** `run` resolves with the result of each item, in order; an Error rejects its item alone. If `run` rejects, all do. */
  constructor(run: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>, options: BatchOptions<Item> = {}) {
    this.#run = run
    this.#options = options
  }

  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject })
      if (!this.#isRunning) void this.#runAll()
    })
  }

  async #runAll(): Promise<void> {
    this.#isRunning = true
    while (this.#waiting.length > 0) {
      await this.#options.gather?.()
      await this.#runRound()
    }
    this.#isRunning = false
  }

  async #runRound(): Promise<void> {
    const items = this.#waiting.map(({ item }) => item)
    const chosen = new Set(this.#options.choose?.(items) ?? items)
    const round = this.#waiting.filter(({ item }) => chosen.has(item))
    this.#waiting = this.#waiting.filter(({ item }) => !chosen.has(item))
    try {
      const results = await this.#run(round.map(({ item }) => item))
      for (const [index, { resolve, reject }] of round.entries()) {
        const result = results[index]!
        if (result instanceof Error) reject(result)
        else resolve(result)
      }
    } catch (error) {
      for (const { reject } of round) reject(error)
    }
  }
}

/** Reads the values of keys. `read`: those that exist, by key; it is given each key once. */
export const lookup = <Found>(
  read: (keys: readonly string[]) => Promise<ReadonlyMap<string, Found>>,
): Batch<string, Found | undefined> =>
  new Batch(async (keys) => {
    const found = await read([...new Set(keys)])
    return keys.map((key) => found.get(key))
  })
