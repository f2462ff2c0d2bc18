/** Redacts texts in several parts that are read as one: a match may span parts. */

import type { Redactor } from './redactor.ts'
import type { Finding } from './text/match.ts'

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
  const crossing = findings.filter((finding) => {
    const part = firstAbove(borders, finding.start)
    const border = borders[part]
    return border !== undefined && border < finding.end && !isWhole(redactor, finding, parts[part]!, border)
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

/**
 * An address that ends where its part ends is whole: in a list of texts (`["jane@example.com", "Hello"]`) the next word
 * does not belong to it. A longer secret does.
 */
function isWhole(redactor: Pick<Redactor, 'redact'>, { type, start }: Finding, part: string, border: number): boolean {
  if (type !== 'email') return false
  const address = part.slice(start - (border - part.length))
  return redactor.redact(address).findings.some((found) => found.type === type && found.end === address.length)
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
