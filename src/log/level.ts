import type { Level } from '../events.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** The level of a file's line; OK and CRIT are for the eye only. */
export const LEVELS: Record<Level, LogLevel> = {
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
