/**
 * What an agent prints, as lines. Bytes may be anything: invalid UTF-8, escape sequences, a gigabyte without a newline,
 * a hundred megabytes a second.
 *
 * The rules are:
 * - The pipe is always drained, so the agent never waits for us; what is too much is counted, told and forgotten.
 * - Memory is bounded by one line: LONGEST_LINE_BYTES and a margin.
 * - A line is cleaned first (a colour code must not hide a datum), redacted second, cut last (a cut must not hide one).
 */
import type { Readable } from 'node:stream'
import type { Clock } from '../clock.ts'

const LONGEST_LINE_BYTES = 16_384
/** Read beyond the longest line and dropped again after redaction: a datum at the cut is seen whole, or not at all. */
const MARGIN = 512
/** What one stream may say in a second. */
const LINES_PER_SECOND = 200
const BYTES_PER_SECOND = 65_536
const SECOND_MS = 1_000

const NEWLINE = 10

export interface OutputListener {
  /** One line, clean and redacted. */
  onLine(text: string, truncated: boolean): void
  /** So many lines were too much and are not shown. */
  onDropped(lines: number): void
}

/** Resolves when the stream has ended and its last line was told. */
export function readLines(
  stream: Readable,
  redact: (text: string) => string,
  clock: Clock,
  listener: OutputListener,
): Promise<void> {
  const lines = new LineReader(redact, clock, listener)
  stream.on('data', (chunk: Buffer) => lines.push(chunk))
  // A broken pipe is only the end of it: `close` follows.
  stream.on('error', () => {})
  return new Promise((resolve) => {
    stream.once('close', () => {
      lines.end()
      resolve()
    })
  })
}

export class LineReader {
  readonly #redact: (text: string) => string
  readonly #listener: OutputListener
  readonly #clock: Clock
  /** The line that has begun. */
  #pieces: Buffer[] = []
  #length = 0
  #isTruncated = false
  /** The beginning of the present line was too much, so its rest is not shown either. */
  #isLineDropped = false
  /** In the present second. */
  #second = Number.NEGATIVE_INFINITY
  #lines = 0
  #bytes = 0
  #dropped = 0
  #timer: NodeJS.Timeout | undefined

  constructor(redact: (text: string) => string, clock: Clock, listener: OutputListener) {
    this.#redact = redact
    this.#listener = listener
    this.#clock = clock
  }

  push(chunk: Buffer): void {
    if (this.#clock.monotonic() - this.#second >= SECOND_MS) this.#beginSecond()
    for (let start = 0; start < chunk.length; ) {
      if (this.#isSpent()) {
        this.#dropRest(chunk, start)
        return
      }
      const newline = chunk.indexOf(NEWLINE, start)
      if (!this.#isLineDropped) this.#keep(chunk.subarray(start, newline === -1 ? chunk.length : newline))
      if (newline === -1) return
      this.#endLine()
      start = newline + 1
    }
  }

  /** Tells the last line, which may lack its newline, and what was dropped. */
  end(): void {
    if (this.#length > 0 || this.#isLineDropped) this.#endLine()
    this.#tellDropped()
  }

  #isSpent(): boolean {
    return this.#lines >= LINES_PER_SECOND || this.#bytes >= BYTES_PER_SECOND
  }

  #keep(piece: Buffer): void {
    const room = LONGEST_LINE_BYTES + MARGIN - this.#length
    if (piece.length > room) this.#isTruncated = true
    if (room <= 0 || piece.length === 0) return
    const kept = piece.subarray(0, room)
    this.#pieces.push(kept)
    this.#length += kept.length
  }

  #endLine(): void {
    const bytes = Buffer.concat(this.#pieces)
    const truncated = this.#isTruncated
    const dropped = this.#isLineDropped
    this.#pieces = []
    this.#length = 0
    this.#isTruncated = false
    this.#isLineDropped = false
    if (dropped) {
      this.#drop(1)
      return
    }
    this.#lines += 1
    this.#bytes += bytes.length
    const text = redactOrWithhold(clean(bytes.toString('utf8')), this.#redact)
    this.#listener.onLine(truncated ? text.slice(0, -MARGIN).toWellFormed() : text, truncated)
  }

  /** Only counts the lines that end in the rest of the chunk. A plain loop: this is where a flood ends up. */
  #dropRest(chunk: Buffer, start: number): void {
    let lines = 0
    for (let at = start; at < chunk.length; at += 1) if (chunk[at] === NEWLINE) lines += 1
    this.#isLineDropped = chunk.at(-1) !== NEWLINE
    if (lines > 0) this.#drop(lines)
  }

  #drop(lines: number): void {
    this.#dropped += lines
    this.#timer ??= setTimeout(() => this.#beginSecond(), SECOND_MS)
  }

  #beginSecond(): void {
    this.#tellDropped()
    this.#second = this.#clock.monotonic()
    this.#lines = 0
    this.#bytes = 0
  }

  #tellDropped(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#dropped > 0) this.#listener.onDropped(this.#dropped)
    this.#dropped = 0
  }
}

/** A line that cannot be redacted is not shown at all. */
function redactOrWithhold(text: string, redact: (text: string) => string): string {
  try {
    return redact(text)
  } catch {
    return '[line withheld: it could not be redacted]'
  }
}

/** CSI (colours, cursor), OSC (titles, links), and the short ones. No two parts match the same, so it is linear. */
const ESCAPE_SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~]?)/g
const CONTROL_CHARACTER = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g

/** As a terminal would leave the line: without escape sequences, and after the last return to its start. */
function clean(text: string): string {
  const plain = text.replace(ESCAPE_SEQUENCE, '').replace(/\r+$/, '')
  return plain.slice(plain.lastIndexOf('\r') + 1).replace(CONTROL_CHARACTER, '\ufffd')
}
