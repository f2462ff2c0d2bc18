/** The fenced blocks of code in a text of Markdown that may still be growing. */
import * as ascii from '../../core/ascii.ts'

/** Longer runs of backticks are two. */
const MAX_RUN = 16
/** Maximum characters before a fence on its line: spaces, and marks of quotes and lists. */
const MAX_INDENT = 24
const INDENT = /^[ \t>*+-]*$/
/** How much of a text is kept before a fence that was not read. */
const MARGIN = MAX_INDENT + 1

/** The end of a fence, and whether a block begins there. */
interface Fence {
  end: number
  opens: boolean
}

export class Fences {
  readonly #fences: Fence[] = []
  /** A block is open where the kept text begins. */
  #isOpenBefore = false
  /** Backticks of the fence of the open block; 0 outside. */
  #run = 0
  /** Where that fence ends. */
  #openedAt = 0
  /** Before this position every fence was read. */
  #read = 0

  /** Whether a position is inside a block. Only fences before it matter, so later text does not matter. */
  surround(text: string, position: number): boolean {
    this.#readBefore(text, position)
    return this.#fences.findLast(({ end }) => end <= position)?.opens ?? this.#isOpenBefore
  }

  /** Call it before the beginning of the text is dropped. */
  drop(text: string, length: number): void {
    if (length === 0) return
    this.#readBefore(text, length + MARGIN)
    while (this.#fences[0] && this.#fences[0].end <= length) this.#isOpenBefore = this.#fences.shift()!.opens
    for (const fence of this.#fences) fence.end -= length
    this.#read = Math.max(0, this.#read - length)
    this.#openedAt -= length
  }

  /** Reads the fences that begin before a position and have arrived. */
  #readBefore(text: string, position: number): void {
    while (this.#read < position) {
      const start = text.indexOf('```', this.#read)
      if (start < 0) {
        this.#read = Math.max(this.#read, text.length - 2)
        return
      }
      this.#read = start
      let end = start
      while (end - start < MAX_RUN && text.charCodeAt(end) === ascii.BACKTICK) end++
      if (start >= position || end === text.length) return
      this.#read = end
      const turn = this.#turnAt(text, start, end)
      if (!turn) continue
      this.#run = turn === 'opens' ? end - start : 0
      this.#openedAt = end
      this.#fences.push({ end, opens: turn === 'opens' })
    }
  }

  /**
   * Whether a run of backticks begins or ends a block. A fence with the name of a language begins one, also where another
   * one was never ended.
   */
  #turnAt(text: string, start: number, end: number): 'opens' | 'closes' | null {
    if (!beginsLine(text, start)) return this.#run > 0 && isOneLine(text, this.#openedAt, start) ? 'closes' : null
    if (this.#run === 0 || text.charCodeAt(end) > ascii.SPACE) return 'opens'
    return end - start >= this.#run ? 'closes' : null
  }
}

/** ```` ```like this``` ```` */
const isOneLine = (text: string, from: number, to: number): boolean => from >= 0 && !text.slice(from, to).includes('\n')

function beginsLine(text: string, start: number): boolean {
  const from = Math.max(0, start - MAX_INDENT)
  const before = text.slice(from, start)
  const line = before.lastIndexOf('\n') + 1
  return (line > 0 || from === 0) && INDENT.test(before.slice(line))
}
