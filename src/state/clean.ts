/**
 * The last safeguard for everything that is stored and shown: no event and no audit row contains data that a caller let
 * through.
 */
import { holdsOwnToken } from '../core/tokens.ts'

/** Our own fields, made of digits: a redactor could mistake any of them for personal data. */
const NEVER_PERSONAL = /(?:^id|_id|_hash|_usd|_at)$/

/** Replaces personal data in a text. */
export type Scrub = (text: string) => string

/** Scrubs every text in a value, including field names and numbers, except our own fields. */
export function scrubTexts<T>(value: T, clean: Scrub): T {
  return cleaned(value, failClosed(clean)) as T
}

/** Returns the same value when nothing in it changes, which is nearly always so. */
function cleaned(value: unknown, clean: Scrub): unknown {
  if (typeof value === 'string') return PLAIN_WORD.test(value) ? value : clean(value)
  if (typeof value === 'number') return Math.abs(value) < MIN_NUMBER ? value : numberOrText(value, clean)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    const safe = value.map((item) => cleaned(item, clean))
    return safe.some((item, index) => item !== value[index]) ? safe : value
  }
  const fields = value as Readonly<Record<string, unknown>>
  for (const name in fields) {
    const item = fields[name]
    if (cleanedName(name, clean) === name && cleanedField(name, item, clean) === item) continue
    const entries = Object.entries(fields)
    return Object.fromEntries(entries.map(([key, one]) => [cleanedName(key, clean), cleanedField(key, one, clean)]))
  }
  return value
}

const cleanedName = (name: string, clean: Scrub): string => (PLAIN_WORD.test(name) ? name : clean(name))

function cleanedField(name: string, value: unknown, clean: Scrub): unknown {
  const isOurs =
    typeof value === 'string' && value.length <= MAX_ID_LENGTH && NEVER_PERSONAL.test(name) && !holdsOwnToken(value)
  return isOurs ? value : cleaned(value, clean)
}

/** Names of fields, providers and states: most of an event's texts need no scan. */
const PLAIN_WORD = /^(?:[a-z_]{0,40}|.{0,5})$/
const MIN_NUMBER = 1_000_000
/** A SHA-256 in hex. */
const MAX_ID_LENGTH = 64

function numberOrText(value: number, clean: Scrub): number | string {
  const text = String(value)
  const safe = clean(text)
  return safe === text ? value : safe
}

/** A text that cannot be scanned is withheld. */
export function failClosed(clean: Scrub): Scrub {
  return (text) => {
    try {
      return clean(text)
    } catch {
      return '[withheld: it could not be redacted]'
    }
  }
}
