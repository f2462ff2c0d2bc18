import { type Logger, pino } from 'pino'
import { type Clock, isoTime } from '../core/clock.ts'
import type { RuntimeEvent } from '../core/events.ts'
import { LEVELS, type LogLevel } from './level.ts'
import { printableJson } from './printable.ts'

export interface LoggerOptions {
  level: LogLevel
  /** Removes personal data from a message, a fact or an error. */
  redact: (text: string) => string
  clock: Clock
  /** Receives one line of JSON with its newline. */
  write: (line: string) => void
}

const levelName = (label: string) => ({ level: label.toUpperCase() })

/** Writes JSON lines of its level and above; `error` is written with its stack and causes. */
export function createLogger({ level, redact, clock, write }: LoggerOptions): Logger {
  return pino(
    {
      level,
      base: null,
      // Events have their own time.
      timestamp: false,
      messageKey: 'message',
      formatters: {
        level: levelName,
        log: ({ error, ...facts }) => {
          const cause = error === undefined ? undefined : { error }
          return { time: isoTime(clock.now()), ...redactTexts(facts, redact), ...cause }
        },
      },
      serializers: { error: (error) => redact(stackText(error)) },
      hooks: {
        logMethod([facts, message], method) {
          return typeof facts === 'string'
            ? method.call(this, redact(facts))
            : method.call(this, facts, redact(message ?? ''))
        },
      },
    },
    { write: (line) => write(printableJson(line)) },
  )
}

/** Returns a function that writes events. Their data never holds a secret or personal data (`events.ts`). */
export function eventLogger(logger: Logger): (event: RuntimeEvent) => void {
  const events = logger.child({}, { formatters: { level: levelName, log: (fields) => fields } })
  return ({ level, at: time, seq, agent_id, type, data, message }) =>
    events[LEVELS[level]]({ time, seq, agent_id: agent_id ?? undefined, user_id: userOf(data), type, data }, message)
}

/** Who caused an event, if a person or a client did. */
function userOf(data: object): string | undefined {
  const user = 'by' in data ? data.by : 'actor' in data ? data.actor : undefined
  return typeof user === 'string' && user !== 'probe' ? user : undefined
}

/** The line that stands for lost lines. */
export const lostJsonLine = (lost: number, clock: Clock): string =>
  `${JSON.stringify({ level: 'ERROR', time: isoTime(clock.now()), lost, message: `${lost} lines were lost: they came faster than they could be written` })}\n`

function redactTexts(value: object, redact: (text: string) => string): Record<string, unknown> {
  const inside = (part: unknown): unknown =>
    typeof part === 'string'
      ? redact(part)
      : Array.isArray(part)
        ? part.map(inside)
        : typeof part === 'object' && part !== null
          ? redactTexts(part, redact)
          : part
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, inside(part)]))
}

/** The whole stack with its causes, which only the log may contain. */
function stackText(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const text = error.stack ?? String(error)
  return error.cause === undefined ? text : `${text}\ncaused by ${stackText(error.cause)}`
}
