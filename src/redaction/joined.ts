/** Redacts texts in several parts that are read as one: a match may span parts. */

import type { Redactor } from './redactor.ts'
import type { Edit } from './stream-redactor.ts'
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
    const part = firstAbove(borders, finding.start, (border) => border)
    const border = borders[part]
    return border !== undefined && border < finding.end && !isWhole(redactor, finding, parts[part]!, border)
  })
  if (crossing.length === 0) return undefined
  const edits = crossing.filter(({ action }) => action !== 'warn').map((finding) => ({ start: finding.start, finding }))
  return {
    findings: crossing,
    parts: parts.map((part, index) => withEdits(part, borders[index]! - part.length, edits)),
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

/** Returns a part of a text, which begins at `from`, with these edits of the text; a part stands where it begins. */
export function withEdits(part: string, from: number, edits: readonly Edit[]): string {
  let safe = ''
  let at = 0
  for (let next = firstAbove(edits, from, ({ finding }) => finding.end); next < edits.length; next++) {
    const { start, finding } = edits[next]!
    if (start >= from + part.length) break
    safe += part.slice(at, Math.max(at, start - from))
    if (start >= from) safe += finding.replacement
    at = Math.min(part.length, finding.end - from)
  }
  return at === 0 ? part : safe + part.slice(at)
}

/** Returns the index of the first item of an ascending list that is above a number. */
function firstAbove<T>(items: readonly T[], than: number, numberOf: (item: T) => number): number {
  let [low, high] = [0, items.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (numberOf(items[middle]!) > than) high = middle
    else low = middle + 1
  }
  return low
}
