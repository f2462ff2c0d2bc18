/** Texts in several parts that are read as one: a datum may go over a border. */
import type { Finding } from './match.ts'
import type { Redactor } from './redactor.ts'

/**
 * The parts without what goes over a border between them, which is replaced in the part where it begins; undefined when
 * nothing does. What is within one part stays.
 */
export function redactJoined(
  redactor: Redactor,
  parts: readonly string[],
): { parts: string[]; findings: Finding[] } | undefined {
  const borders: number[] = []
  let length = 0
  for (const part of parts) {
    length += part.length
    borders.push(length)
  }
  const { findings } = redactor.redact(parts.join(''))
  const crossing = findings.filter(({ start, end }) => borders.some((border) => start < border && border < end))
  if (crossing.length === 0) return undefined
  return {
    findings: crossing,
    parts: parts.map((part, index) => without(crossing, part, borders[index]! - part.length)),
  }
}

/** A part, which begins at `from`, without these findings. */
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
