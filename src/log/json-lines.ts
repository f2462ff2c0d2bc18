import { type Clock, isoTime } from '../core/clock.ts'
import type { Level, RuntimeEvent } from '../core/events.ts'
import { isShown, LEVELS, type LogLevel } from './level.ts'
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
  const { level: least, redact, clock, write } = options
  const writeLine = (level: Level, fields: object, message: string) =>
    write(
      printableJson(`${JSON.stringify({ level: LEVELS[level].toUpperCase(), ...fields, message: redact(message) })}\n`),
    )
  const say =
    (level: Level) =>
    (message: string, { error, ...facts }: LogFacts = {}) => {
      if (!isShown(level, least)) return
      const cause = error === undefined ? undefined : { error: redact(stackText(error)) }
      writeLine(level, { time: isoTime(clock.now()), ...redactTexts(facts, redact), ...cause }, message)
    }
  return {
    event: ({ level, at: time, seq, agent_id, type, data, message }) => {
      if (!isShown(level, least)) return
      writeLine(level, { time, seq, agent_id: agent_id ?? undefined, user_id: userOf(data), type, data }, message)
    },
    debug: say('DEBUG'),
    info: say('INFO'),
    warn: say('WARN'),
    error: say('ERROR'),
  }
}

/** Who caused an event, if a person or a client did. */
function userOf(data: object): string | undefined {
  const user = 'by' in data ? data.by : 'actor' in data ? data.actor : undefined
  return typeof user === 'string' && user !== 'probe' ? user : undefined
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
