/**
 * The log: one JSON line per event and message in <dir>/iron-cage-YYYY-MM-DD.log, and the same events as lines for a
 * terminal. A full file is continued as iron-cage-YYYY-MM-DD.1.log, .2.log, …; days and files beyond the limits are
 * removed.
 *
 * The rules are:
 * - A line's message is redacted; an event's data never holds a secret or personal data (`events.ts`).
 * - Writing never waits and never throws. A full disk or a flood loses lines, and a line reports how many.
 * - Days are UTC in file names and times, local on the terminal.
 */
import type { Logger } from 'pino'
import type { Clock } from '../core/clock.ts'
import type { RuntimeEvent } from '../core/events.ts'
import { DayFile, MAX_FILE_BYTES } from './day-file.ts'
import type { LogLevel } from './level.ts'
import { LineWriter } from './line-writer.ts'
import { createLogger, eventLogger, lostJsonLine } from './logger.ts'

/** The log file of a server. Its opener closes it. */
export interface Log {
  readonly logger: Logger
  event(event: RuntimeEvent): void
  /** Today's file. */
  readonly path: string
  /** Flushes lines that are still in memory. */
  close(): Promise<void>
}

export interface LogOptions {
  dir: string
  level: LogLevel
  retentionDays: number
  /** Size at which a file is continued in another. (Default: 64 MiB.) */
  maxFileBytes?: number
  /** Removes personal data from a message. */
  redact: (text: string) => string
  clock: Clock
}

/** Throws CageError `invalid_config` when the folder or today's file cannot be written. */
export function openLog({ dir, level, retentionDays, maxFileBytes = MAX_FILE_BYTES, redact, clock }: LogOptions): Log {
  const file = new DayFile(dir, retentionDays, clock, maxFileBytes)
  const lines = new LineWriter({
    descriptor: () => file.descriptorOfToday(),
    lostLine: (lost) => lostJsonLine(lost, clock),
    clock,
  })
  const logger = createLogger({ level, redact, clock, write: (line) => lines.write(line) })
  return {
    logger,
    event: eventLogger(logger),
    get path() {
      return file.path
    },
    async close() {
      await lines.close()
      file.close()
    },
  }
}
