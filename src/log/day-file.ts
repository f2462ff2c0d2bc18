import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'

const DAY_MS = 86_400_000

/** A larger file is continued in another; this many full ones are kept next to today's. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024
const MAX_FULL_FILES = 10

/** The file of the day. When a file begins, those beyond the retention or the count are removed. */
export class DayFile {
  readonly #dir: string
  readonly #retentionDays: number
  readonly #clock: Clock
  readonly #maxFileBytes: number
  #day: string
  #descriptor: number

  constructor(dir: string, retentionDays: number, clock: Clock, maxFileBytes: number) {
    this.#dir = dir
    this.#retentionDays = retentionDays
    this.#clock = clock
    this.#maxFileBytes = maxFileBytes
    this.#day = dayOf(clock.now())
    this.#descriptor = this.#open(this.#day)
  }

  get path(): string {
    return this.#pathOf(this.#day)
  }

  /** Throws when a new file cannot be opened; the old one stays in use. */
  descriptorOfToday(): number {
    const today = dayOf(this.#clock.now())
    if (today !== this.#day) this.#goOnWith(today)
    else if (fstatSync(this.#descriptor).size >= this.#maxFileBytes) {
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

  /** The highest number among the day's full files: the first ones may have been removed. */
  #fullFiles(day: string): number {
    return Math.max(0, ...this.#files().flatMap((file) => (file.day === day ? [file.number] : [])))
  }

  /** All files, oldest first; the current file of each day, which has no number, comes last. */
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
