/**
 * What stands for a value: a label, or with `safety.placeholders: shaped` something of the value's shape, so that programs
 * which check a reply's fields accept it. Equal values get equal placeholders, in whatever piece, reply or thread, until
 * the server restarts. None belongs to anybody: they are from ranges that are reserved for examples.
 */
import { createHmac } from 'node:crypto'
import type { PiiType } from '../events.ts'
import { PII_TYPES } from '../pii-types.ts'

/** `shapedWith`: the key that placeholders of the value's shape are derived with; undefined for labels. */
export function placeholderOf(type: PiiType, value: string, shapedWith: string | undefined): string {
  const shape = shapedWith === undefined ? undefined : SHAPES[type]
  if (!shape) return LABELS[type]
  return shape.make(
    createHmac('sha256', shapedWith!)
      .update(`${type} ${normalizeForCompare(value)}`)
      .digest(),
  )
}

/** Whether a value is such a placeholder. */
export const isPlaceholder = (type: PiiType, value: string): boolean => SHAPES[type]?.pattern.test(value) === true

/** Letters and digits only: "+1 (415) 733-2671" equals "14157332671". */
export const normalizeForCompare = (value: string): string =>
  value
    .normalize('NFKC')
    .replace(/[^\p{L}\p{N}]/gu, '')
    .toUpperCase()

const LABELS = Object.fromEntries(PII_TYPES.map((type) => [type, `[${type.toUpperCase()}_REDACTED]`])) as Record<
  PiiType,
  string
>

interface Shape {
  make(digest: Buffer): string
  pattern: RegExp
}

const decimal = (digest: Buffer, at: number, digits: number): string =>
  String(digest.readUInt32BE(at) % 10 ** digits).padStart(digits, '0')

/** Of North American cities; with 555-01XX behind them they are nobody's. */
const AREA_CODES = [202, 206, 212, 213, 214, 215, 303, 305, 312, 313, 404, 407, 408, 415, 416, 503, 512, 602, 604, 617]

const SHAPES: Readonly<Partial<Record<PiiType, Shape>>> = {
  // Validators refuse addresses at .invalid; .example is reserved too.
  email: {
    make: (digest) => `redacted-${digest.toString('hex', 0, 4)}@redacted.example`,
    pattern: /^redacted-[0-9a-f]{8}@redacted\.example$/i,
  },
  phone: {
    make: (digest) => `+1-${AREA_CODES[digest[0]! % AREA_CODES.length]}-555-01${decimal(digest, 1, 2)}`,
    pattern: /^\+1-\d{3}-555-01\d\d$/,
  },
  // No number has the group 00.
  ssn: { make: (digest) => `900-00-${decimal(digest, 0, 4)}`, pattern: /^900-00-\d{4}$/ },
  // 203.0.113.0/24 is for documentation.
  ip: { make: (digest) => `203.0.113.${(digest[0]! % 254) + 1}`, pattern: /^203\.0\.113\.\d{1,3}$/ },
}
