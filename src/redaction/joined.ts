/** Redacts texts in several parts that are read as one: a match may span parts. */
import type { Finding } from './match.ts'
import type { Redactor } from './redactor.ts'

/**
 * Returns the parts without what spans two of them, replaced in the part where it begins; undefined if nothing does.
 * Matches within one part stay.
 */
export function redactJoined(
  redactor: Pick<Redactor, 'redact'>,
  parts: readonly string[],
): { parts: string[]; findings: Finding[] } | undefined {
  const borders: number[] = []
  let length = 0
  for (const part of parts) {
    length += part.length
    borders.push(length)
  }
  const { findings } = redactor.redact(parts.join(''))
  const crossing = findings.filter(({ start, end }) => {
    const next = firstAbove(borders, start)
    return next < borders.length && borders[next]! < end
  })
  if (crossing.length === 0) return undefined
  const [starts, ends] = [crossing.map(({ start }) => start), crossing.map(({ end }) => end)]
  return {
    findings: crossing,
    parts: parts.map((part, index) => {
      const from = borders[index]! - part.length
      const first = firstAbove(ends, from)
      return without(crossing.slice(first, firstAbove(starts, from + part.length - 1)), part, from)
    }),
  }
}

/** Returns the index of the first number above another in an ascending list. */
function firstAbove(numbers: readonly number[], than: number): number {
  let [low, high] = [0, numbers.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numbers[middle]! > than) high = middle
    else low = middle + 1
  }
  return low
}

/** Returns a part, which begins at `from`, without these findings. */
function without(findings: readonly Finding[], part: string, from: number): string {
  let safe = ''
  let at = 0
  for (const { start, end, action, replacement } of findings) {
    if (action === 'warn' || end <= from || start >= from + part.length) continue
    safe += part.slice(at, Math.max(at, start - from))
    if (start >= from) safe += replacement
    at = Math.min(part.length, end - from)
  }
  return safe + part.slice(at)
}
