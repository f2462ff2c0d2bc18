/**
 * Values that are configured as secret, found everywhere, in any form. Exact: a value with one character changed is
 * another one. While a text may continue, a possible beginning of a value is undecided, as with every detector
 * (`text-window.ts`).
 */
import type { TextWindow } from '../text/text-window.ts'
import { isOrdinaryValue, standsAsSecret } from './ordinary-value.ts'

/** A value that is secret. */
export interface KnownSecret {
  value: string
  /** The variable that holds it. (Default: none.) */
  name?: string | undefined
}

/** Shorter values cannot be distinguished from the text around them, not even beside a name. */
const MIN_LENGTH = 3
/** A line of a longer value, e.g. of a private key, counts by itself: output is scanned line by line. */
const MIN_LINE_LENGTH = 16

/** A text to find. `names`: of an ordinary value, which counts only where it is given as a secret. */
interface Form {
  text: string
  names: readonly string[] | undefined
}

export class KnownValues {
  /** 1 for the first character of each value. */
  readonly starts = new Uint8Array(65_536)
  /** By their first two characters, longest first. */
  readonly #forms = new Map<string, Form[]>()

  /** Returns undefined if no value is long enough. */
  static of(secrets: readonly KnownSecret[]): KnownValues | undefined {
    const forms = new Map<string, string[] | undefined>()
    for (const { value, name } of secrets) {
      if (value.length < MIN_LENGTH) continue
      if (!isOrdinaryValue(value)) for (const form of formsOf(value)) forms.set(form, undefined)
      else if (!forms.has(value)) forms.set(value, name === undefined ? [] : [name])
      else if (name !== undefined) forms.get(value)?.push(name)
    }
    return forms.size === 0 ? undefined : new KnownValues([...forms].map(([text, names]) => ({ text, names })))
  }

  private constructor(forms: Form[]) {
    for (const form of forms.toSorted((one, other) => other.text.length - one.text.length)) {
      const start = form.text.slice(0, 2)
      this.starts[form.text.charCodeAt(0)] = 1
      this.#forms.set(start, [...(this.#forms.get(start) ?? []), form])
    }
  }

  /** Returns the end of the longest value at `start`, or -1. Sets `cut` when more text is needed to decide. */
  endFrom(window: TextWindow, start: number): number {
    const { text } = window
    if (start + 1 >= text.length) {
      window.at(start + 1)
      return -1
    }
    for (const { text: value, names } of this.#forms.get(text.slice(start, start + 2)) ?? []) {
      const end = start + value.length
      if (text.startsWith(value, start)) {
        if (names === undefined || standsAsSecret(window, start, end, names)) return end
        if (window.cut) return -1
      } else if (!window.final && text.length < end && value.startsWith(text.slice(start))) {
        window.cut = true
        return -1
      }
    }
    return -1
  }

  /** Returns where the first value between two positions begins; the last position if there is none. */
  startFrom(window: TextWindow, from: number, to: number): number {
    for (let position = from; position < to && !window.cut; position++) {
      if (this.starts[window.text.charCodeAt(position)] === 1 && this.endFrom(window, position) > 0) return position
    }
    return to
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
