/**
 * Splits an agent's output into lines. The bytes may be anything: invalid UTF-8, escape sequences, a gigabyte without a
 * newline, a hundred megabytes a second.
 *
 * The rules are:
 * - A limited number of lines per second becomes events. Faster ones go to the log file only, up to the agent's daily
 *   quota; the rest is counted. The last lines are always shown, as they explain why it ended.
 * - Reading has a fixed share of the event loop (`output-pace.ts`). An agent that prints faster blocks on its pipe.
 * - Memory is bounded by one line plus the lines held until it is known whether they are the last.
 * - A line without its end is shown once a second as it is by then, as far as no personal data may begin in it.
 * - A line is cleaned first (a color code must not hide personal data), redacted second, cut last (nor may a cut).
 */
import type { Readable } from 'node:stream'
import type { Clock, Timer } from '../core/clock.ts'
import type { OutputPace } from './output-pace.ts'

const MAX_LINE_BYTES = 16_384
/**
 * Read past the longest line and dropped after redaction, so that personal data at the cut is seen whole or not at all.
 */
const MARGIN = 512
/** The part of one stream that is shown per second. */
const MAX_LINES_PER_SECOND = 200
const MAX_BYTES_PER_SECOND = 65_536
const SECOND_MS = 1_000
/** The text held before it is shown: lines, and approximate bytes. */
const MAX_HELD_LINES = 50
const MAX_HELD_BYTES = 65_536
/** Lines per `show` call. */
const BATCH_LINES = 32

const NEWLINE = 10
const RETURN = 13

export interface Line {
  text: string
  /** True when its end was cut off. */
  truncated: boolean
}

export interface OutputSink {
  /** Makes a line fit to be stored and shown. A line for which it throws is withheld. */
  redact(text: string): string
  /** Makes the beginning of a line fit to be shown: leaves out possible personal data. */
  redactBeginning(text: string): string
  /** Receives the lines to be shown, in order. */
  show(lines: Line[]): void
  /** Reserves bytes in this agent's share of the log file. Returns false when there is no room. */
  hasRoom(bytes: number): boolean
  /** Receives a line for the log file only. */
  log(text: string): void
  /** Receives how many lines went to the log file only, or were dropped, since the last call. */
  note(lines: { logged: number; dropped: number }): void
}

/** Reads one stream. */
export interface Reading {
  /** Resolves when the stream has ended and its last line was shown. */
  ended: Promise<void>
  /** The agent has ended: the rest of its pipe is read without rests. */
  hurry(): void
  /** Stops reading: a surviving process may hold the stream open forever. */
  close(): void
}

export function readLines(stream: Readable, lines: LineReader, pace: OutputPace): Reading {
  let isUrgent = false
  let unread: Buffer | null = null
  const take = async (chunk: Buffer) => {
    lines.add(chunk)
    while (!(await pace.run((isTimeUp) => lines.work(isTimeUp), isUrgent))) {
      // Paused until all of it is read.
    }
  }
  const read = async () => {
    for await (const chunk of chunksOf(stream)) await take(chunk)
    if (unread) await take(unread)
    lines.end()
  }
  return {
    ended: read(),
    hurry: () => {
      isUrgent = true
    },
    close: () => {
      unread = stream.read()
      stream.destroy()
    },
  }
}

/** A broken pipe only ends the stream. */
async function* chunksOf(stream: Readable): AsyncGenerator<Buffer> {
  try {
    yield* stream
  } catch {
    // Nothing more will come.
  }
}

interface RawLine {
  bytes: Buffer
  truncated: boolean
  /** The part that was shown before it ended. */
  shown: string
}

export class LineReader {
  readonly #sink: OutputSink
  readonly #clock: Clock
  /** The bytes to process, and the position in them. */
  #chunk: Buffer = Buffer.alloc(0)
  #at = 0
  /** The current line. */
  #pieces: Buffer[] = []
  #length = 0
  #isTruncated = false
  /** Complete lines that are not shown yet. */
  #held: RawLine[] = []
  #heldBytes = 0
  #batch: Line[] = []
  /** Counted in the current second. */
  #second = Number.NEGATIVE_INFINITY
  #lines = 0
  #bytes = 0
  #logged = 0
  #dropped = 0
  #timer: Timer | undefined
  /** Runs while the current line is unfinished. */
  #unfinished: Timer | undefined
  /** The shown part of the current line. */
  #shownBeginning = ''

  constructor(sink: OutputSink, clock: Clock) {
    this.#sink = sink
    this.#clock = clock
  }

  /** Sets the next bytes; `work` must have processed the previous ones. */
  add(chunk: Buffer): void {
    this.#chunk = chunk
    this.#at = 0
  }

  /** Processes the added bytes until the time is up. Returns true when everything is done. */
  work(isTimeUp: () => boolean = () => false): boolean {
    if (this.#clock.monotonic() - this.#second >= SECOND_MS) this.#beginSecond()
    while (this.#at < this.#chunk.length && !isTimeUp()) this.#readOn()
    this.#showBatch()
    if (this.#length > 0) this.#unfinished ??= this.#clock.after(SECOND_MS, () => this.#showBeginning()).unref()
    return this.#at >= this.#chunk.length
  }

  /** Shows the last lines; the very last may lack its newline. */
  end(): void {
    if (this.#length > 0) this.#endLine()
    this.#note()
    while (this.#held.length > 0) this.#show(this.#takeHeld())
    this.#showBatch()
  }

  /** Reads up to the next newline. */
  #readOn(): void {
    const newline = this.#chunk.indexOf(NEWLINE, this.#at)
    const end = newline === -1 ? this.#chunk.length : newline
    this.#keep(this.#chunk.subarray(this.#at, end))
    this.#at = end + 1
    if (newline !== -1) this.#endLine()
  }

  #keep(piece: Buffer): void {
    // Text before a carriage return is overwritten; one at the end of the line is part of its end.
    const last = piece.lastIndexOf(RETURN, -2)
    if (last >= 0) this.#restartLine()
    else if (piece.length > 0 && this.#pieces.at(-1)?.at(-1) === RETURN && piece[0] !== RETURN) this.#restartLine()
    this.#append(piece.subarray(last + 1))
  }

  #append(piece: Buffer): void {
    const room = MAX_LINE_BYTES + MARGIN - this.#length
    if (piece.length > room) this.#isTruncated = true
    if (room <= 0 || piece.length === 0) return
    const kept = piece.subarray(0, room)
    this.#pieces.push(kept)
    this.#length += kept.length
  }

  #endLine(): void {
    // Copied: a held line must not keep whole chunks alive.
    this.#held.push({ bytes: Buffer.concat(this.#pieces), truncated: this.#isTruncated, shown: this.#shownBeginning })
    this.#heldBytes += this.#length
    this.#restartLine()
    this.#unfinished?.cancel()
    this.#unfinished = undefined
    this.#shownBeginning = ''
    this.#showWhatMay()
    while (this.#held.length > MAX_HELD_LINES || this.#heldBytes > MAX_HELD_BYTES) this.#pass(this.#takeHeld())
    if (this.#held.length > 0) this.#timer ??= this.#clock.after(SECOND_MS, () => this.#onTimer())
  }

  #restartLine(): void {
    this.#pieces = []
    this.#length = 0
    this.#isTruncated = false
  }

  #showBeginning(): void {
    this.#unfinished = undefined
    const text = beginningOf(clean(Buffer.concat(this.#pieces).toString('utf8')), this.#sink)
    if (text.trim() === '' || text === this.#shownBeginning) return
    this.#shownBeginning = text
    this.#sink.show([{ text, truncated: false }])
  }

  #takeHeld(): RawLine {
    const line = this.#held.shift()!
    this.#heldBytes -= line.bytes.length
    return line
  }

  #showWhatMay(): void {
    while (this.#held.length > 0 && this.#lines < MAX_LINES_PER_SECOND && this.#bytes < MAX_BYTES_PER_SECOND) {
      this.#show(this.#takeHeld())
    }
  }

  #show(line: RawLine): void {
    this.#lines += 1
    this.#bytes += line.bytes.length
    const text = this.#textOf(line)
    if (text === '' || text !== line.shown) this.#batch.push({ text, truncated: line.truncated })
    if (this.#batch.length >= BATCH_LINES) this.#showBatch()
  }

  #showBatch(): void {
    if (this.#batch.length > 0) this.#sink.show(this.#batch)
    this.#batch = []
  }

  /** Handles a line that came too fast to be shown. */
  #pass(line: RawLine): void {
    if (this.#sink.hasRoom(line.bytes.length)) {
      this.#sink.log(this.#textOf(line))
      this.#logged += 1
    } else this.#dropped += 1
  }

  #textOf({ bytes, truncated }: RawLine): string {
    const text = redactOrWithhold(clean(bytes.toString('utf8')), (line) => this.#sink.redact(line))
    return truncated ? text.slice(0, -MARGIN).toWellFormed() : text
  }

  #onTimer(): void {
    this.#beginSecond()
    this.#showBatch()
    if (this.#held.length > 0) this.#timer = this.#clock.after(SECOND_MS, () => this.#onTimer())
  }

  #beginSecond(): void {
    this.#showBatch()
    this.#note()
    this.#second = this.#clock.monotonic()
    this.#lines = 0
    this.#bytes = 0
    this.#showWhatMay()
  }

  #note(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    const [logged, dropped] = [this.#logged, this.#dropped]
    this.#logged = 0
    this.#dropped = 0
    if (logged > 0 || dropped > 0) this.#sink.note({ logged, dropped })
  }
}

/** Empty when it cannot be redacted: the whole line is still to come. */
function beginningOf(text: string, sink: OutputSink): string {
  try {
    return sink.redactBeginning(text)
  } catch {
    return ''
  }
}

/** A line that cannot be redacted is withheld. */
function redactOrWithhold(text: string, redact: (text: string) => string): string {
  try {
    return redact(text)
  } catch {
    return '[line withheld: it could not be redacted]'
  }
}

/**
 * CSI (colors, cursor), OSC (titles, links), and the short sequences. No two alternatives overlap, so matching is
 * linear.
 */
const ESCAPE_SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]?|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\^-~]?)/g
const CONTROL_CHARACTER = /[\x00-\x08\x0a-\x1f\x7f-\x9f]/g

/** The line as a terminal shows it: without escape sequences, and from the last carriage return on. */
function clean(text: string): string {
  const plain = text.replace(ESCAPE_SEQUENCE, '').replace(/\r+$/, '')
  return plain.slice(plain.lastIndexOf('\r') + 1).replace(CONTROL_CHARACTER, '\ufffd')
}
