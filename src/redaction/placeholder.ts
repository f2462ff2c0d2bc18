/**
 * What stands for a value: a label, or with `safety.placeholders: shaped` something of the value's shape, so that
 * programs which check a reply's fields accept it. Equal values get equal placeholders, in any piece, reply or thread,
 * until the server restarts. None belongs to anybody: they are from ranges that are reserved for examples, or that no
 * issuer has.
 */
import { createHmac } from 'node:crypto'
import type { PiiType } from '../core/events.ts'
import { PII_TYPES } from '../core/pii-types.ts'
import { normalizeForCompare } from './text/compare.ts'
import { passesLuhn } from './text/luhn.ts'

/** `shapedWith`: the key that placeholders of the value's shape are derived with; undefined for labels. */
export function placeholderOf(type: PiiType, value: string, shapedWith: string | undefined): string {
  const shape = shapedWith === undefined ? undefined : SHAPES[type]
  if (!shape) return LABELS[type]
  return shape.make(
    createHmac('sha256', shapedWith!)
      .update(`${type} ${normalizeForCompare(value)}`)
      .digest(),
    value,
  )
}

/** Whether a value is such a placeholder. */
export const isPlaceholder = (type: PiiType, value: string): boolean => SHAPES[type]?.pattern.test(value) === true

const LABELS = Object.fromEntries(PII_TYPES.map((type) => [type, `[${type.toUpperCase()}_REDACTED]`])) as Record<
  PiiType,
  string
>

interface Shape {
  make(digest: Buffer, value: string): string
  pattern: RegExp
}

const decimal = (digest: Buffer, at: number, digits: number): string =>
  String(digest.readUInt32BE(at) % 10 ** digits).padStart(digits, '0')

/** Of North American cities; with 555-01XX behind them they are reserved. */
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
  // 203.0.113.0/24 and 2001:db8::/32 are for documentation.
  ip: {
    make: (digest, value) =>
      value.includes(':') ? `2001:db8::${digest.toString('hex', 0, 2)}` : `203.0.113.${(digest[0]! % 254) + 1}`,
    pattern: /^(203\.0\.113\.\d{1,3}|2001:db8::[0-9a-f]{4})$/,
  },
  // ISO 7812 gives 9 to national bodies, by the number of the country; no country has 999.
  credit_card: { make: (digest) => withLuhn(`99990000000${decimal(digest, 0, 4)}`), pattern: /^99990000000\d{5}$/ },
  // No German bank has the code 00000000.
  iban: { make: (digest) => germanIban(`00000000000000${decimal(digest, 0, 4)}`), pattern: /^DE\d\d0{14}\d{4}$/ },
  // RFC 7042: for documentation.
  mac: {
    make: (digest) => `00:00:5E:00:53:${digest.toString('hex', 0, 1).toUpperCase()}`,
    pattern: /^00:00:5E:00:53:[\dA-F]{2}$/,
  },
  date_of_birth: { make: () => '1900-01-01', pattern: /^1900-01-01$/ },
}

/** Appends the check digit of a card number. */
const withLuhn = (digits: string): string =>
  Array.from({ length: 10 }, (_, last) => `${digits}${last}`).find((number) => passesLuhn([...number].map(Number)))!

/** ISO 13616: D and E are 13 and 14; with the country and its check digits at the end the remainder is 1. */
const germanIban = (account: string): string =>
  `DE${String(98n - (BigInt(`${account}131400`) % 97n)).padStart(2, '0')}${account}`
