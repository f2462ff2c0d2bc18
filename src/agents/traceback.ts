/**
 * Joins the lines of a Python traceback or a JavaScript stack into one entry, in reading order. Pure.
 *
 * A traceback ends with its exception, unless another one follows ("During handling of the above exception …"); a stack
 * ends with the first line that is not part of it. So the last entry waits until the next line, or until `end`, which may
 * cut a traceback off.
 */
export interface OutputEntry {
  /** Its lines, joined by newlines. */
  text: string
  truncated: boolean
  /** The error in one line; null for an ordinary line of output. */
  error: string | null
}

interface Line {
  text: string
  truncated: boolean
}

/** Longer ones stay single lines. */
const MAX_LINES = 500
const MAX_CHARACTERS = 65_536

const TRACEBACK = /^Traceback \(most recent call last\):$/
const CHAINED = /^(?:During handling of the above exception|The above exception was the direct cause)/
const STACK_HEADER = /^(?:Uncaught )?[\w.]*(?:Error|Exception)\b/
const STACK_FRAME = /^ +at /

/** The error of a program that was ended while it printed. */
const CUT_OFF = 'Traceback, cut off before its exception'

type Part =
  /** Nothing is held. */
  | 'none'
  /** Frames of a traceback, until its exception. */
  | 'frames'
  /** After the exception: another one may follow. */
  | 'chain'
  /** A line that is the header of a stack if a frame follows. */
  | 'header'
  | 'stack'

export class TracebackReader {
  #part: Part = 'none'
  #lines: Line[] = []
  #characters = 0
  #error = ''

  /** True while a line waits for the next one. */
  get isHolding(): boolean {
    return this.#part !== 'none'
  }

  /** Returns the entries that are complete now, in order. */
  add(line: Line): OutputEntry[] {
    const next = this.#next(line.text)
    if (next !== 'none' && next !== 'end') {
      this.#hold(line, next)
      return this.#lines.length > MAX_LINES || this.#characters > MAX_CHARACTERS ? this.#release() : []
    }
    const complete = this.end()
    const first = startOf(line.text)
    if (first === 'none') return [...complete, plain(line)]
    this.#hold(line, first)
    return complete
  }

  /** Returns the held lines. */
  end(): OutputEntry[] {
    if (this.#part === 'header') return this.#release()
    if (this.#part === 'none') return []
    if (this.#part === 'frames') {
      if (this.#lines.length === 1) return this.#release()
      this.#error = CUT_OFF
    }
    const held = this.#lines
    while (held.at(-1)?.text.trim() === '') held.pop()
    const text = held.map((each) => each.text).join('\n')
    const entry = { text, truncated: held.some(({ truncated }) => truncated), error: this.#error }
    this.#clear()
    return [entry]
  }

  /** Where a line belongs that follows the held lines; 'end' when it does not. */
  #next(text: string): Part | 'end' {
    switch (this.#part) {
      case 'none':
        return 'none'
      case 'frames':
        return text === '' || /^\s/.test(text) ? 'frames' : 'chain'
      case 'chain':
        if (TRACEBACK.test(text)) return 'frames'
        return text.trim() === '' || CHAINED.test(text) ? 'chain' : 'end'
      default:
        return STACK_FRAME.test(text) || (this.#part === 'stack' && /^(?: {2}|}$)/.test(text)) ? 'stack' : 'end'
    }
  }

  #hold(line: Line, part: Part): void {
    const isException = (this.#part === 'frames' && part === 'chain') || part === 'header'
    if (isException) this.#error = line.text
    this.#part = part
    this.#lines.push(line)
    this.#characters += line.text.length
  }

  /** Returns the held lines as ordinary ones. */
  #release(): OutputEntry[] {
    const lines = this.#lines.map(plain)
    this.#clear()
    return lines
  }

  #clear(): void {
    this.#part = 'none'
    this.#lines = []
    this.#characters = 0
  }
}

const startOf = (text: string): Part => (TRACEBACK.test(text) ? 'frames' : STACK_HEADER.test(text) ? 'header' : 'none')

const plain = (line: Line): OutputEntry => ({ ...line, error: null })
