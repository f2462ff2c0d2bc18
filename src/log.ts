/**
 * The log: one JSON line per event and message in <dir>/iron-cage-YYYY-MM-DD.log, and the same events as lines for a
 * terminal. A file that is full goes on as iron-cage-YYYY-MM-DD.1.log, .2.log, …; days and files beyond what is kept go.
 *
 * The rules are:
 * - A line's message went through the redactor; an event's data never holds a secret or a personal datum (`events.ts`).
 * - Writing never waits and never throws. A full disk or a flood loses lines, and a line says how many.
 * - Days are UTC in the file's name and times, local on the terminal.
 */
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, renameSync, rmSync, write } from 'node:fs'
import { join } from 'node:path'
import { promisify, stripVTControlCharacters } from 'node:util'
import pino from 'pino'
import { type Clock, isoTime } from './clock.ts'
import { CageError } from './errors.ts'
import type { Level, RuntimeEvent } from './events.ts'
import { showUsd } from './money.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What a line says beside its message; `agent_id` whenever it is about an agent. */
export type LogFacts = Readonly<Record<string, unknown>> & { agent_id?: string | null; error?: unknown }

/** Writes lines of its level and above. */
export interface LineLog {
  event(event: RuntimeEvent): void
  debug(message: string, facts?: LogFacts): void
  info(message: string, facts?: LogFacts): void
  warn(message: string, facts?: LogFacts): void
  error(message: string, facts?: LogFacts): void
}

/** The log file of a server. Whoever opens it closes it. */
export interface Log extends LineLog {
  /** Today's file. */
  readonly path: string
  /** Writes out what is still in memory. */
  close(): Promise<void>
}

export interface LogOptions {
  dir: string
  level: LogLevel
  retentionDays: number
  /** From here on a file goes on in another. (Default: 64 MiB.) */
  fullBytes?: number
  /** Removes personal data from a message. */
  redact: (text: string) => string
  clock: Clock
}

/** Throws CageError `invalid_config` when the folder or today's file cannot be written. */
export function openLog({ dir, level, retentionDays, fullBytes = FULL_BYTES, redact, clock }: LogOptions): Log {
  const file = new DayFile(dir, retentionDays, clock, fullBytes)
  const lines = new LineWriter({
    descriptor: () => file.descriptorOfToday(),
    lostLine: (lost) => lostJsonLine(lost, clock),
    clock,
  })
  return {
    ...jsonLog({ level, redact, clock, write: (line) => lines.write(line) }),
    get path() {
      return file.path
    },
    async close() {
      await lines.close()
      file.close()
    },
  }
}

/** What stands in JSON lines for lines that are lost. */
export const lostJsonLine = (lost: number, clock: Clock): string =>
  `${JSON.stringify({ level: 'ERROR', time: isoTime(clock.now()), lost, message: `${lost} lines were lost: they came faster than they could be written` })}\n`

/** Characters that may wait to be written; a line that comes above is lost and counted. */
const MAX_WAITING = 8 * 1024 * 1024
/** Pause after a write, so that many lines go out in few writes: each takes a thread of its own and wakes this one. */
const GATHER_MS = 50
/** Pause before a pipe that takes nothing at the moment is asked again. */
const RETRY_MS = 20

export interface LineWriterOptions {
  clock: Clock
  /** Asked before each write. */
  descriptor: () => number
  /** The line, with its newline, that stands for so many lost ones. */
  lostLine: (lost: number) => string
  /** Receives why a write failed; its lines are lost. (Default: nobody.) */
  onFault?: (error: NodeJS.ErrnoException) => void
}

/**
 * Writes lines to a file, a pipe or a terminal, one write at a time and never on the event loop: a full pipe and a
 * stopped terminal block whoever writes to them.
 */
export class LineWriter {
  readonly #options: LineWriterOptions
  #waiting: string[] = []
  #waitingLength = 0
  #lost = 0
  #writing: Promise<void> | undefined
  #closed = false

  constructor(options: LineWriterOptions) {
    this.#options = options
  }

  /** `line` ends with a newline. */
  write(line: string): void {
    if (this.#closed || this.#waitingLength + line.length > MAX_WAITING) {
      this.#lost++
      return
    }
    this.#waiting.push(line)
    this.#waitingLength += line.length
    this.#writing ??= this.#writeOut()
  }

  /** Takes no more and resolves when the rest is written. */
  async close(): Promise<void> {
    this.#closed = true
    await this.#writing
  }

  /** Never rejects. */
  async #writeOut(): Promise<void> {
    // The lines of this tick go out in one write; and `write` must have kept this promise before it can end.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const lines = this.#waiting
      const lost = this.#lost
      this.#waiting = []
      this.#waitingLength = 0
      this.#lost = 0
      try {
        // Lines are lost when no more may wait: after those that did.
        const text = lines.join('') + (lost > 0 ? this.#options.lostLine(lost) : '')
        await this.#writeAll(this.#options.descriptor(), Buffer.from(text))
      } catch (error) {
        this.#lost += lost + lines.length
        this.#options.onFault?.(error as NodeJS.ErrnoException)
      }
      if (!this.#closed) await this.#options.clock.sleep(GATHER_MS)
    }
    this.#writing = undefined
  }

  async #writeAll(descriptor: number, bytes: Buffer): Promise<void> {
    for (let written = 0; written < bytes.length; ) {
      try {
        written += (await writeSome(descriptor, bytes, written)).bytesWritten
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
        await this.#options.clock.sleep(RETRY_MS)
      }
    }
  }
}

const writeSome = promisify(write)

const DAY_MS = 86_400_000

/** A file is full from here on; so many full ones are kept beside today's. */
const FULL_BYTES = 64 * 1024 * 1024
const MAX_FULL_FILES = 10

/** The file of the day; what is older than the retention, or more than is kept, is removed when a file begins. */
class DayFile {
  readonly #dir: string
  readonly #retentionDays: number
  readonly #clock: Clock
  readonly #fullBytes: number
  #day: string
  #descriptor: number

  constructor(dir: string, retentionDays: number, clock: Clock, fullBytes: number) {
    this.#dir = dir
    this.#retentionDays = retentionDays
    this.#clock = clock
    this.#fullBytes = fullBytes
    this.#day = dayOf(clock.now())
    this.#descriptor = this.#open(this.#day)
  }

  get path(): string {
    return this.#pathOf(this.#day)
  }

  /** Throws when a new file cannot be opened; the old one stays. */
  descriptorOfToday(): number {
    const today = dayOf(this.#clock.now())
    if (today !== this.#day) this.#goOnWith(today)
    else if (fstatSync(this.#descriptor).size >= this.#fullBytes) {
      renameSync(this.path, this.#pathOf(`${today}.${this.#fullFiles(today) + 1}`))
      this.#goOnWith(today)
    }
    return this.#descriptor
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  #goOnWith(day: string): void {
    const before = this.#descriptor
    this.#descriptor = this.#open(day)
    this.#day = day
    closeSync(before)
  }

  #pathOf(name: string): string {
    return join(this.#dir, `iron-cage-${name}.log`)
  }

  /** The highest number among the day's full files: the first ones may be gone. */
  #fullFiles(day: string): number {
    return Math.max(0, ...this.#files().flatMap((file) => (file.day === day ? [file.number] : [])))
  }

  /** All of them, oldest first; of each day today's own, which has no number, last. */
  #files(): { name: string; day: string; number: number }[] {
    return readdirSync(this.#dir)
      .flatMap((name) => {
        const [, day, number] = LOG_NAME.exec(name) ?? []
        return day === undefined ? [] : [{ name, day, number: number === undefined ? 0 : Number(number) }]
      })
      .sort((a, b) => (a.day === b.day ? (a.number || Infinity) - (b.number || Infinity) : a.day < b.day ? -1 : 1))
  }

  #open(day: string): number {
    try {
      mkdirSync(this.#dir, { recursive: true, mode: 0o700 })
      const descriptor = openSync(this.#pathOf(day), 'a', 0o600)
      this.#removeOld()
      return descriptor
    } catch (error) {
      throw new CageError('invalid_config', `cannot write the log: ${(error as Error).message}`, {
        facts: { 'log.dir': this.#dir },
        hint: 'make the folder writable, or choose another as log.dir',
        cause: error,
      })
    }
  }

  #removeOld(): void {
    const oldest = dayOf(this.#clock.now() - this.#retentionDays * DAY_MS)
    const files = this.#files()
    const full = files.filter(({ number }) => number > 0)
    const tooMany = new Set(full.slice(0, Math.max(0, full.length - MAX_FULL_FILES)))
    for (const file of files) {
      if (file.day < oldest || tooMany.has(file)) rmSync(join(this.#dir, file.name), { force: true })
    }
  }
}

const LOG_NAME = /^iron-cage-(\d{4}-\d{2}-\d{2})(?:\.(\d+))?\.log$/

const dayOf = (ms: number): string => isoTime(ms).slice(0, 10)

/** The same JSON lines for `--log-format json`; `write` gets one line with its newline. */
export function jsonLog(options: {
  level: LogLevel
  redact: (text: string) => string
  clock: Clock
  write: (line: string) => void
}): LineLog {
  const { level, redact, clock, write } = options
  const lines = pino(
    {
      level,
      base: undefined,
      messageKey: 'message',
      timestamp: false,
      formatters: { level: (label) => ({ level: label.toUpperCase() }) },
    },
    { write: (line) => write(printableJson(line)) },
  )
  const say =
    (at: LogLevel) =>
    (message: string, { error, ...facts }: LogFacts = {}) => {
      if (!lines.isLevelEnabled(at)) return
      const cause = error === undefined ? undefined : { error: redact(errorText(error)) }
      lines[at]({ time: isoTime(clock.now()), ...redactTexts(facts, redact), ...cause }, redact(message))
    }
  return {
    event: (event) => {
      const at = LEVELS[event.level]
      if (!lines.isLevelEnabled(at)) return
      const { at: time, seq, agent_id, type, data } = event
      lines[at]({ time, seq, ...(agent_id !== null && { agent_id }), type, data }, redact(event.message))
    },
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
  }
}

/** The level of a file's line; OK and CRIT are for the eye only. */
const LEVELS: Record<Level, LogLevel> = {
  DEBUG: 'debug',
  INFO: 'info',
  OK: 'info',
  WARN: 'warn',
  ERROR: 'error',
  CRIT: 'error',
}

const RANKS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** Is an event shown when `least` is the least level to show? */
export const isShown = (level: Level, least: LogLevel): boolean => RANKS.indexOf(LEVELS[level]) >= RANKS.indexOf(least)

/** `[14:23:45] WARN  message`, with sub-lines where an event has more to say. Ends without a newline. */
export function textLine(event: RuntimeEvent, { color }: { color: boolean }): string {
  const level = event.level.padEnd(5)
  const shown = color ? `${COLORS[event.level]}${level}${RESET}` : level
  const below = details(event).map(
    (detail, index, all) => `\n  ${index < all.length - 1 ? '├─' : '└─'} ${printable(detail)}`,
  )
  return `[${localTime(event.at)}] ${shown} ${printable(event.message)}${below.join('')}`
}

/** One line without what would move the cursor or change the colours of a terminal. */
export const printable = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/[\r\n\u2028\u2029]+/g, ' ')
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '')

/** JSON whose texts neither steer a terminal nor turn what it shows around: written as escapes, they are the same JSON. */
export const printableJson = (json: string): string =>
  json.replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  })

const RESET = '\u001b[0m'
const COLORS: Record<Level, string> = {
  DEBUG: '\u001b[2m',
  INFO: '\u001b[36m',
  OK: '\u001b[32m',
  WARN: '\u001b[33m',
  ERROR: '\u001b[31m',
  CRIT: '\u001b[1;31m',
}

const localTime = (at: string): string => {
  const date = new Date(at)
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => String(part).padStart(2, '0')).join(':')
}

/** What a person wants to know at once about the few events that call for a decision. */
function details(event: RuntimeEvent): string[] {
  switch (event.type) {
    case 'budget.warned':
      return [
        `Spent: ${showUsd(event.data.spent_usd)} of ${showUsd(event.data.limit_usd)} (${event.data.used_percent.toFixed(1)}%)`,
        `Suggested: approve ${showUsd(event.data.suggested_increase_usd)} more`,
      ]
    case 'budget.exhausted':
      return [
        `Spent: ${showUsd(event.data.spent_usd)} of ${showUsd(event.data.limit_usd)}`,
        ...(event.data.needed_usd === null ? [] : [`Refused: a call of up to ${showUsd(event.data.needed_usd)}`]),
      ]
    case 'circuit.opened':
      return [
        `Reason: ${event.data.reason}`,
        `Failures: ${event.data.failures} ${event.data.of === undefined ? 'in a row' : `in ${event.data.of} calls`}`,
        event.data.by === undefined ? `Probe: in ${Math.ceil(event.data.cooldown_ms / 1000)} s` : 'Probe: none',
        ...(event.data.tier === null ? [] : [`Fallback: tier ${event.data.tier}`]),
      ]
    case 'circuit.half_opened':
      return [
        'Probe: one call goes out, all others are refused until its answer',
        'Next: CLOSED if it succeeds, else OPEN',
      ]
    case 'circuit.closed':
      return [
        `By: ${event.data.by === 'probe' ? 'the probe' : 'an operator'}`,
        'Calls: live again, failures counted from zero',
      ]
    case 'pii.found':
      return [
        `Type: ${event.data.pii_type} (${event.data.risk})`,
        `Place: ${event.data.place.replace('_', ' ')}${event.data.unit === null ? '' : `, ${event.data.unit}`}`,
        `Action: ${event.data.action}`,
      ]
    default:
      return []
  }
}

function redactTexts(value: unknown, redact: (text: string) => string): Record<string, unknown> {
  const inside = (part: unknown): unknown =>
    typeof part === 'string'
      ? redact(part)
      : Array.isArray(part)
        ? part.map(inside)
        : typeof part === 'object' && part !== null
          ? redactTexts(part, redact)
          : part
  return Object.fromEntries(Object.entries(value as object).map(([name, part]) => [name, inside(part)]))
}

/** The whole stack with its causes: the log is where they may be read. */
function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = error.stack ?? String(error)
  return error.cause === undefined ? text : `${text}\ncaused by ${errorText(error.cause)}`
}
