/**
 * Values that are configured as secret, found wherever they stand, whatever they look like. Exact: a value with one
 * character changed is another one. While a text may continue, a possible beginning of a value is undecided, as with
 * every detector (`text-window.ts`).
 */
import type { TextWindow } from './text/text-window.ts'

/** Shorter values are ordinary words. */
const MIN_LENGTH = 8
/** A line of a longer value, e.g. of a private key, counts by itself: output is scanned line by line. */
const MIN_LINE_LENGTH = 16

export class KnownValues {
  /** 1 for the first character of each value. */
  readonly starts = new Uint8Array(65_536)
  /** By their first two characters, longest first. */
  readonly #values = new Map<string, string[]>()

  /** Returns undefined if no value is long enough. */
  static of(values: readonly string[]): KnownValues | undefined {
    const forms = new Set(values.filter((value) => value.length >= MIN_LENGTH).flatMap(formsOf))
    return forms.size === 0 ? undefined : new KnownValues([...forms])
  }

  private constructor(forms: string[]) {
    for (const form of forms.toSorted((one, other) => other.length - one.length)) {
      const start = form.slice(0, 2)
      this.starts[form.charCodeAt(0)] = 1
      this.#values.set(start, [...(this.#values.get(start) ?? []), form])
    }
  }

  /** Returns the end of the longest value at `start`, or -1. Sets `cut` when more text is needed to decide. */
  endFrom(window: TextWindow, start: number): number {
    const { text } = window
    if (start + 1 >= text.length) {
      window.at(start + 1)
      return -1
    }
    for (const value of this.#values.get(text.slice(start, start + 2)) ?? []) {
      if (text.startsWith(value, start)) return start + value.length
      if (!window.final && text.length - start < value.length && value.startsWith(text.slice(start))) {
        window.cut = true
        return -1
      }
    }
    return -1
  }

  /** Extends a match that a value begins in to that value's end, if it is further. */
  extend(window: TextWindow, start: number, end: number): number {
    let furthest = end
    for (let position = start; position < end && !window.cut; position++) {
      if (this.starts[window.text.charCodeAt(position)] === 1)
        furthest = Math.max(furthest, this.endFrom(window, position))
    }
    return furthest
  }
}

/** Returns the value as is, as in JSON, and its lines, except those that frame every key. */
function formsOf(value: string): string[] {
  const lines = value.split(/\r?\n/).filter((line) => line.length >= MIN_LINE_LENGTH && !line.startsWith('-----'))
  return [value, JSON.stringify(value).slice(1, -1), ...lines]
}
