/**
 * What has left at one place of a stream: the end of a text that came in pieces, or whole texts one after the other, such
 * as ids, names, statuses. A client may join them, and a provider may have cut something over them.
 */

/** As much of what has left is looked at together with the next text. */
const CONTEXT_CHARACTERS = 1_024
/** Shorter ones may be equal by chance. */
const MIN_REPEATED = 4
const MAX_REMEMBERED = 64

export class Series {
  /** What became of the text that was added last. */
  lastSafe = ''
  #last = ''
  #all = ''
  /** Without texts that had been there before: frames that only repeat may be left out for a client. */
  #news = ''
  readonly #seen = new Set<string>()

  /** All of it, as far back as it is known. */
  get joined(): string {
    return this.#all
  }

  /** A text in pieces ends like this for now. */
  goOnFrom(text: string): void {
    this.#last = ''
    this.#all = text.slice(-CONTEXT_CHARACTERS)
    this.#news = this.#all
  }

  /** The same text comes once more. */
  isLast(text: string): boolean {
    return text === this.#last && text.length >= MIN_REPEATED
  }

  /** Takes a text in, and returns what was before it, joined. */
  add(text: string): string[] {
    const before = [...new Set([this.#all, this.#news])].filter((joined) => joined !== '')
    this.#last = text
    this.#all = (this.#all + text).slice(-CONTEXT_CHARACTERS)
    if (!this.#seen.has(text)) this.#news = (this.#news + text).slice(-CONTEXT_CHARACTERS)
    if (this.#seen.size < MAX_REMEMBERED) this.#seen.add(text)
    return before
  }
}
