import type { Level, RuntimeEvent } from '../core/events.ts'
import { showUsd } from '../core/money.ts'
import { showDuration, showPercent } from '../core/units.ts'
import { printable } from './printable.ts'
import { wrapLines } from './wrap.ts'

/** How a line is shown. */
export interface LineStyle {
  color: boolean
  /** The width of the terminal. (Default: lines are not wrapped.) */
  columns?: number | undefined
  /** Follows the message. (Default: nothing.) */
  note?: string
  /** The agent it is about, where several run. (Default: not shown.) */
  who?: string | undefined
}

/** `[14:23:45] WARN  message`, with sub-lines where an event has details. Ends without a newline. */
export function textLine(event: RuntimeEvent, { color, columns, note = '', who }: LineStyle): string {
  const level = event.level.padEnd(5)
  const shown = color ? `${COLORS[event.level]}${level}${RESET}` : level
  const time = localTime(event.at)
  const before = `[${time}] ${level} `.length
  const message = wrapLines([printable((who ? `${who} · ` : '') + event.message + note)], columns && columns - before)
  const below = wrapLines(subLines(event), columns)
  return [`[${time}] ${shown} ${message.join(`\n${' '.repeat(before)}`)}`, ...below].join('\n')
}

/** The lines of a traceback as they were written, or the facts of an event. */
function subLines(event: RuntimeEvent): string[] {
  if (event.type === 'agent.output' && event.level === 'ERROR' && event.data.text !== event.message) {
    return event.data.text.split('\n').map((line) => `  │ ${printable(line)}`)
  }
  const facts = details(event)
  return facts.map((fact, index) => `  ${index < facts.length - 1 ? '├─' : '└─'} ${printable(fact)}`)
}

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

/** Sub-lines for the few events that call for a decision. */
function details(event: RuntimeEvent): string[] {
  switch (event.type) {
    case 'budget.warned':
      return [
        `Spent: ${showUsd(event.data.spent_usd)} of ${showUsd(event.data.limit_usd)} (${showPercent(event.data.used_percent, 1)})`,
        `Suggested: approve ${showUsd(event.data.suggested_increase_usd)} more`,
      ]
    case 'circuit.opened':
      return [
        `Reason: ${event.data.reason}`,
        `Failures: ${event.data.failures} ${event.data.of === undefined ? 'in a row' : `in ${event.data.of} calls`}`,
        event.data.by === undefined ? `Probe: in ${showDuration(event.data.cooldown_ms)}` : 'Probe: none',
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
    default:
      return []
  }
}
