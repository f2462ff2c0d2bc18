/** Keys and tokens with the prefix of their issuer (`issuers.ts`). */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from '../text/characters.ts'
import { hexValue } from '../text/escapes.ts'
import type { TextWindow } from '../text/text-window.ts'
import { ISSUERS, type Issuer } from './issuers.ts'
import { beginsSecret, belongs, type SecretMatch } from './secret.ts'
import { isPlaceholder } from './secret-value.ts'

/** Issuers by the start of their prefix, up to and including its first mark. */
const ISSUERS_BY_START = new Map<string, Issuer[]>()
/** For the last two characters before the mark: the possible lengths of starts, as bits. Avoids most lookups. */
const START_LENGTHS = new Uint16Array(128 * 128)
/** The last character before the mark, and the mark. */
const LASTS_BEFORE_MARK = new Set<number>()
/** For prefixes without a mark: a rare letter at which the scanner stops. */
const ANCHOR = /[AGJKV]/
/** Issuers without a mark in their prefix, by that letter and the next one (0 where the prefix ends before). */
const ISSUERS_BY_ANCHOR = new Map<number, AnchoredIssuer[]>()

interface AnchoredIssuer extends Issuer {
  /** Index of the letter in the prefix. */
  anchor: number
}

for (const issuer of ISSUERS) {
  const start = /^[^-_.~]{0,9}[-_.~]/.exec(issuer.prefix)?.[0]
  if (start === undefined) {
    const anchor = issuer.prefix.search(ANCHOR)
    if (anchor < 0) continue
    const letter = issuer.prefix.charCodeAt(anchor)
    const key = pairKey(letter, anchor + 1 < issuer.prefix.length ? issuer.prefix.charCodeAt(anchor + 1) : 0)
    ISSUERS_BY_ANCHOR.set(key, [...(ISSUERS_BY_ANCHOR.get(key) ?? []), { ...issuer, anchor }])
    continue
  }
  ISSUERS_BY_START.set(start, [...(ISSUERS_BY_START.get(start) ?? []), issuer])
  const length = start.length - 1
  const key = pairKey(length > 1 ? start.charCodeAt(length - 2) : 0, start.charCodeAt(length - 1))
  LASTS_BEFORE_MARK.add(pairKey(start.charCodeAt(length - 1), start.charCodeAt(length)))
  START_LENGTHS[key] = (START_LENGTHS[key] as number) | (1 << length)
}

function pairKey(first: number, second: number): number {
  return (first << 7) | second
}

/** A prefix has this character before its first mark. */
export function mayEndStart(code: number, mark: number): boolean {
  return LASTS_BEFORE_MARK.has(pairKey(code, mark))
}

/** A prefix without a mark contains this pair, or ends in the first of the two. */
export function isAnchorPair(anchor: number, next: number): boolean {
  return ISSUERS_BY_ANCHOR.has(pairKey(anchor, next)) || ISSUERS_BY_ANCHOR.has(pairKey(anchor, 0))
}

/** Finds the secret whose prefix has its first hyphen, underscore, dot or tilde at `mark`. */
export function findMarkedSecret(window: TextWindow, mark: number): SecretMatch | null {
  const last = window.before(mark)
  const first = window.before(mark - 1)
  if (last > 127) return null
  const lengths = (first < 128 ? (START_LENGTHS[pairKey(first, last)] as number) : 0) | (START_LENGTHS[last] as number)
  for (let length = 1; lengths >> length > 0; length++) {
    const start = mark - length
    if (!(lengths & (1 << length)) || start < window.floor || !beginsSecret(window, start)) continue
    const issuers = ISSUERS_BY_START.get(window.text.slice(start, mark + 1))
    const match = issuers ? matchAny(window, start, issuers) : null
    if (match || window.cut) return match
  }
  return null
}

/** Databricks' tokens begin with lower-case letters only, so they are found from their first digit. */
const DATABRICKS = ISSUERS.filter(({ prefix }) => prefix === 'dapi')

/** Finds `dapi<32 hexadecimal digits>`, whose first digit from 0 to 9 is at `digit`. */
export function findHexToken(window: TextWindow, digit: number): SecretMatch | null {
  let start = digit
  while (start > window.floor && digit - start < 32 && hexValue(window.before(start)) > 9) start--
  start -= 4
  if (start < window.floor || !window.text.startsWith('dapi', start) || !beginsSecret(window, start)) return null
  return matchAny(window, start, DATABRICKS)
}

/** Finds the secret with an anchor letter of its prefix at `anchor`. */
export function findAnchoredSecret(window: TextWindow, anchor: number): SecretMatch | null {
  const letter = window.text.charCodeAt(anchor)
  window.candidate = Math.max(window.floor, anchor - MAX_ANCHOR)
  const next = window.at(anchor + 1)
  const ending = ISSUERS_BY_ANCHOR.get(pairKey(letter, 0))
  const match = next < 128 ? matchAnchored(window, anchor, ISSUERS_BY_ANCHOR.get(pairKey(letter, next))) : null
  return match || window.cut || !ending ? match : matchAnchored(window, anchor, ending)
}

const MAX_ANCHOR = 3

function matchAnchored(window: TextWindow, anchor: number, issuers: AnchoredIssuer[] | undefined): SecretMatch | null {
  if (!issuers) return null
  for (const issuer of issuers) {
    const start = anchor - issuer.anchor
    if (start < window.floor || window.text.charCodeAt(start) !== issuer.prefix.charCodeAt(0)) continue
    // Two letters of base64 after a slash or plus are not a prefix.
    const before = window.before(start)
    if (before === ascii.PLUS || (before === ascii.SLASH && !issuer.exact) || !beginsSecret(window, start)) continue
    window.candidate = start
    const match = matchIssuer(window, start, issuer)
    if (match || window.cut) return match
  }
  return null
}

function matchAny(window: TextWindow, start: number, issuers: readonly Issuer[]): SecretMatch | null {
  window.candidate = start
  for (const issuer of issuers) {
    const match = matchIssuer(window, start, issuer)
    if (match) return match
  }
  return null
}

function matchIssuer(window: TextWindow, start: number, issuer: Issuer): SecretMatch | null {
  const { prefix, min, also } = issuer
  for (let i = 0; i < prefix.length; i++) if (window.at(start + i) !== prefix.charCodeAt(i)) return null
  const begin = start + prefix.length
  const end = begin + min
  for (let i = begin; i < end; i++) {
    const code = window.at(i)
    if (issuer.hex ? hexValue(code) < 0 : !belongs(code, also)) return null
  }
  if (issuer.exact && (isAlphanumeric(window.at(end)) || belongs(window.at(end), also))) return null
  if (!issuer.anyBody && isPlaceholder(window.text.slice(begin, end))) return null
  return { type: 'secret', start, end, tail: issuer.exact ? null : { also } }
}
