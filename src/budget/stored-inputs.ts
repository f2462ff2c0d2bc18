/**
 * How many tokens a model reads of what its provider has stored: known for the responses that this gateway delivered
 * since it started.
 */

/** Ids that are remembered: the latest. */
const MAX_IDS = 50_000

interface StoredResponse {
  /** Of all that was read and written for it. */
  tokens: number
}

export class StoredInputs {
  /** By provider and id; the ids of a response and of its items lead to the same. The oldest are first. */
  readonly #responses = new Map<string, StoredResponse>()

  /** Remembers the ids of a delivered response. */
  add(provider: string, ids: readonly string[], tokens: number): void {
    const response = { tokens }
    for (const id of ids) this.#responses.set(keyOf(provider, id), response)
    for (const oldest of this.#responses.keys()) {
      if (this.#responses.size <= MAX_IDS) break
      this.#responses.delete(oldest)
    }
  }

  /** Returns the most tokens that these ids stand for, each response once; undefined if one of them is not known. */
  tokensOf(provider: string, ids: readonly string[]): number | undefined {
    const responses = new Set<StoredResponse>()
    for (const id of ids) {
      const response = this.#responses.get(keyOf(provider, id))
      if (!response) return undefined
      responses.add(response)
    }
    return [...responses].reduce((sum, { tokens }) => sum + tokens, 0)
  }
}

const keyOf = (provider: string, id: string): string => `${provider} ${id}`
