/** Repeatable choices: the same seed makes the same exchange. */
export class Dice {
  #state: number

  constructor(seed: number) {
    // Neighbouring seeds would begin alike.
    this.#state = Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) >>> 0
  }

  /** From 0 up to 1 (mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }

  /** From `least` to `most`, both included. */
  number(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1))
  }

  chance(share: number): boolean {
    return this.next() < share
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.number(0, choices.length - 1)]!
  }

  /** `count` values of `make`. */
  times<T>(count: number, make: (index: number) => T): T[] {
    return Array.from({ length: count }, (_, index) => make(index))
  }

  /** Cuts a text into pieces, none of them empty; between code points, as models do. */
  cut(text: string, mostPieces = 6): string[] {
    const points = [...text]
    const pieces: string[] = []
    const size = Math.max(1, Math.ceil(points.length / this.number(1, mostPieces)))
    for (let at = 0; at < points.length; ) {
      const length = this.number(1, size * 2)
      pieces.push(points.slice(at, at + length).join(''))
      at += length
    }
    return pieces
  }
}
