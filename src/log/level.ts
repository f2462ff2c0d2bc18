import type { Level } from '../core/events.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The level of a line in a file; OK and CRIT exist on the terminal only. */
export const LEVELS: Record<Level, LogLevel> = {
  DEBUG: 'debug',
  INFO: 'info',
  OK: 'info',
  WARN: 'warn',
  ERROR: 'error',
  CRIT: 'error',
}

const RANKS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']

/** True when an event is shown at the minimum level `least`. */
export const isShown = (level: Level, least: LogLevel): boolean => RANKS.indexOf(LEVELS[level]) >= RANKS.indexOf(least)
