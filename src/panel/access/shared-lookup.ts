/**
 * Looks up what many ask for at the same time in one statement. Batches lookups; a caller gets a value read after its
 * request: who comes while others are looked up shares the next one.
 */
export class SharedLookup<Found> {
  readonly #read: (keys: readonly string[]) => Promise<ReadonlyMap<string, Found>>
  /** That has not begun. */
  #next: { keys: Set<string>; found: Promise<ReadonlyMap<string, Found>> } | undefined
  #last: Promise<unknown> = Promise.resolve()

  /** `read`: those that there are, by their keys. */
  constructor(read: (keys: readonly string[]) => Promise<ReadonlyMap<string, Found>>) {
    this.#read = read
  }

  /** Rejects like `read`. */
  async find(key: string): Promise<Found | undefined> {
    this.#next ??= this.#prepare()
    const { keys, found } = this.#next
    keys.add(key)
    return (await found).get(key)
  }

  #prepare(): { keys: Set<string>; found: Promise<ReadonlyMap<string, Found>> } {
    const keys = new Set<string>()
    const found = this.#last.then(() => {
      this.#next = undefined
      return this.#read([...keys])
    })
    this.#last = found.catch(() => undefined)
    return { keys, found }
  }
}
