/**
 * The text sent at one place of a stream: the end of a text in pieces, or a sequence of whole texts such as ids, names
 * and statuses. A client may join them, and a provider may have split data across them.
 */

/** How much of the sent text is checked together with the next one. */
const CONTEXT_CHARACTERS = 1_024
/** Shorter texts may be equal by chance. */
const MIN_REPEATED = 4
const MAX_REMEMBERED = 64

export class Series {
  /** The redacted form of the last text added. */
  lastSafe = ''
  #last = ''
  #all = ''
  /** Without texts that occurred before: a client may drop frames that only repeat. */
  #news = ''
  readonly #seen = new Set<string>()

  /** Everything sent, within CONTEXT_CHARACTERS. */
  get joined(): string {
    return this.#all
  }

  /** Continues after a text in pieces, which currently ends like this. */
  continueFrom(text: string): void {
    this.#last = ''
    this.#all = text.slice(-CONTEXT_CHARACTERS)
    this.#news = this.#all
  }

  /** Returns true if the text repeats the last one. */
  isLast(text: string): boolean {
    return text === this.#last && text.length >= MIN_REPEATED
  }

  /** Adds a text; returns what preceded it, joined. */
  add(text: string): string[] {
    const before = [...new Set([this.#all, this.#news])].filter((joined) => joined !== '')
    this.#last = text
    this.#all = (this.#all + text).slice(-CONTEXT_CHARACTERS)
    if (!this.#seen.has(text)) this.#news = (this.#news + text).slice(-CONTEXT_CHARACTERS)
    if (this.#seen.size < MAX_REMEMBERED) this.#seen.add(text)
    return before
  }
}
