/**
 * Our own tokens: how they are generated, and how they are recognized in any text. There is no list of them: all have
 * the form below, so each is recognized from its creation on, even after its end and after a restart, without using
 * memory. The redactor removes them by the same form (`redaction/own-token.ts`), and no text with one is sent to a
 * provider or a service.
 */

import { randomBytes } from 'node:crypto'
import * as ascii from './ascii.ts'

/** A run token, an API token (`ic`), a one-time code, a WebSocket ticket, a refresh token, a link to a report. */
export const TOKEN_KINDS = ['run', 'ic', 'code', 'ticket', 'refresh', 'link'] as const
export type TokenKind = (typeof TOKEN_KINDS)[number]

/** Characters after `<kind>_`: 256 bits in base64url. */
export const TOKEN_LENGTH = 43

/** 256 random bits, URL-safe. Stored only as SHA-256. */
export function newToken(kind: TokenKind): string {
  for (;;) {
    const random = randomBytes(32).toString('base64url')
    if (isRandom(random)) return `${kind}_${random}`
  }
}

/** Excludes snake-case function names such as `run_…`: 43 random characters contain both cases. */
export const isRandom = (text: string): boolean => /[a-z]/.test(text) && /[A-Z]/.test(text)

/** The header of session access tokens, with which they start: JSON web tokens of `access/sessions.ts`. */
export const ACCESS_TOKEN_HEADER = { alg: 'HS256', typ: 'at+jwt' } as const
export const ACCESS_TOKEN_START = `${Buffer.from(JSON.stringify(ACCESS_TOKEN_HEADER)).toString('base64url')}.`

/** The last letter of each kind; no two are the same. */
export const KINDS_BY_LAST_LETTER = new Map<number, TokenKind>(
  TOKEN_KINDS.map((kind) => [kind.charCodeAt(kind.length - 1), kind]),
)

/**
 * Whether a text contains one of our tokens, in any context; also percent-encoded, and within the Base64 of `Basic …`,
 * the value of an authorization header.
 */
export function holdsOwnToken(text: string): boolean {
  if (holdsPlainToken(text)) return true
  if (text.includes('%') && holdsPlainToken(withoutPercents(text))) return true
  const basic = /^basic +([\w+/=-]+)$/i.exec(text)?.[1]
  return basic !== undefined && holdsPlainToken(Buffer.from(basic, 'base64').toString('latin1'))
}

/** The same for unencoded tokens: some 20 µs per 100 KB of text. */
export function holdsPlainToken(text: string): boolean {
  for (let mark = text.indexOf('_'); mark >= 0; mark = text.indexOf('_', mark + 1))
    if (isTokenAt(text, mark)) return true
  return text.includes(ACCESS_TOKEN_START)
}

/** Most of a token at the end of a text: the 11 characters that may be missing are 66 bits, too many to guess. */
const UNFINISHED = new RegExp(`(?:${TOKEN_KINDS.join('|')})_(?<random>[\\w-]{32,${TOKEN_LENGTH - 1}})$`)

/** Returns the text, with a whole token at its end if it ends with most of one. */
export function withWholeToken(text: string): string {
  const random = UNFINISHED.exec(text.slice(-64))?.groups?.random
  return random !== undefined && isRandom(random) ? text.padEnd(text.length + TOKEN_LENGTH - random.length, 'a') : text
}

function isTokenAt(text: string, mark: number): boolean {
  const kind = KINDS_BY_LAST_LETTER.get(text.charCodeAt(mark - 1))
  if (kind === undefined || !text.startsWith(kind, mark - kind.length)) return false
  const end = mark + 1 + TOKEN_LENGTH
  for (let i = mark + 1; i < end; i++) if (!isTokenCharacter(text.charCodeAt(i))) return false
  return (
    isRandom(text.slice(mark + 1, end)) && isWhole(kind, text.charCodeAt(mark - kind.length - 1), text.charCodeAt(end))
  )
}

/** "ic_" occurs by chance in a long Base64 text, so one end of the match must be the token's end. */
export const isWhole = (kind: TokenKind, before: number, after: number): boolean =>
  kind !== 'ic' || !isTokenCharacter(before) || !isTokenCharacter(after)

/** Of base64url. False for NaN, as before and after a text. */
export const isTokenCharacter = (code: number): boolean =>
  (code >= ascii.LOWER_A && code <= ascii.LOWER_Z) ||
  (code >= ascii.UPPER_A && code <= ascii.UPPER_Z) ||
  (code >= ascii.ZERO && code <= ascii.NINE) ||
  code === ascii.UNDERSCORE ||
  code === ascii.HYPHEN

/** ASCII only, like every token; invalid escapes stay. */
const withoutPercents = (text: string): string =>
  text.replace(/%([2-7][\da-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
