import pino from 'pino'
import { type Clock, isoTime } from '../clock.ts'
import type { RuntimeEvent } from '../events.ts'
import { LEVELS, type LogLevel } from './level.ts'
import { printableJson } from './printable.ts'

/** Fields of a line besides its message; `agent_id` whenever it is about an agent. */
export type LogFacts = Readonly<Record<string, unknown>> & { agent_id?: string | null; error?: unknown }

/** Writes lines of its level and above. */
export interface LineLog {
  event(event: RuntimeEvent): void
  debug(message: string, facts?: LogFacts): void
  info(message: string, facts?: LogFacts): void
  warn(message: string, facts?: LogFacts): void
  error(message: string, facts?: LogFacts): void
}

/** The same JSON lines for `--log-format json`; `write` receives one line with its newline. */
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
      const cause = error === undefined ? undefined : { error: redact(stackText(error)) }
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

/** The line that stands for lost lines. */
export const lostJsonLine = (lost: number, clock: Clock): string =>
  `${JSON.stringify({ level: 'ERROR', time: isoTime(clock.now()), lost, message: `${lost} lines were lost: they came faster than they could be written` })}\n`

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

/** The whole stack with its causes, which only the log may contain. */
function stackText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = error.stack ?? String(error)
  return error.cause === undefined ? text : `${text}\ncaused by ${stackText(error.cause)}`
}
