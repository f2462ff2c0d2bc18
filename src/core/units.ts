/**
 * How figures are shown to people, in one style: on the dashboard, on the terminal, in reports, alerts and events. Money
 * is shown by `showUsd` of `money.ts`. Free of Node.
 */

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/** "12,345"; whole numbers only. */
export const showCount = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',')

/** "90.1%"; `digits` after the point. (Default: 0.) */
export const showPercent = (percent: number, digits = 0): string => `${percent.toFixed(digits)}%`

/** "98% (98/100)" */
export const showRate = (part: number, whole: number): string =>
  `${showPercent((part / whole) * 100)} (${showCount(part)}/${showCount(whole)})`

/** How long one thing took: "85 ms", "2.1 s"; from a minute up like `showDuration`. */
export function showLatency(ms: number): string {
  if (ms < 100) return `${Math.round(ms)} ms`
  return ms < MINUTE_MS ? `${(ms / SECOND_MS).toFixed(1)} s` : showDuration(ms)
}

/** The two largest units: "8 s", "1 min 26 s", "2 h 5 min", "3 d". */
export function showDuration(ms: number): string {
  const rounded = Math.round(ms / SECOND_MS) * SECOND_MS
  if (rounded < MINUTE_MS) return `${rounded / SECOND_MS} s`
  if (rounded < HOUR_MS) return join(rounded, MINUTE_MS, 'min', SECOND_MS, 's')
  return rounded < DAY_MS ? join(rounded, HOUR_MS, 'h', MINUTE_MS, 'min') : join(rounded, DAY_MS, 'd', HOUR_MS, 'h')
}

function join(ms: number, largeMs: number, large: string, smallMs: number, small: string): string {
  const rest = Math.floor((ms % largeMs) / smallMs)
  return `${Math.floor(ms / largeMs)} ${large}${rest ? ` ${rest} ${small}` : ''}`
}

/** The largest unit: "12 s ago", "5 min ago", "3 h ago", "2 d ago". */
export function showAge(ms: number): string {
  const age = Math.max(0, Math.round(ms / SECOND_MS) * SECOND_MS)
  if (age < MINUTE_MS) return `${age / SECOND_MS} s ago`
  if (age < HOUR_MS) return `${Math.floor(age / MINUTE_MS)} min ago`
  return age < DAY_MS ? `${Math.floor(age / HOUR_MS)} h ago` : `${Math.floor(age / DAY_MS)} d ago`
}

/** "29:08", counting down to "0:00". */
export function showCountdown(ms: number): string {
  const seconds = Math.max(0, Math.ceil(ms / SECOND_MS))
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

/** "1 call", "2 calls", "1,000 calls". */
export const showNumberOf = (count: number, singularUnit: string): string =>
  `${showCount(count)} ${singularUnit}${count === 1 ? '' : 's'}`

/** "leads" → "lead". */
export const singular = (unit: string): string => (unit.length > 1 && unit.endsWith('s') ? unit.slice(0, -1) : unit)

/** A name of the code in words: "half_open" → "half open". */
export const showName = (name: string): string => name.replaceAll('_', ' ')
