/**
 * Our own tokens: how they are made, and how they are recognized in whatever text. Nobody keeps a list of them: every one
 * has the form below, so it is known from the moment it is made, also after it has ended and after a restart, at no cost
 * in memory. The redactor takes them out by the same form (`redaction/own-token.ts`), and nothing that holds one is sent to
 * a provider or a service.
 */
import { randomBytes } from 'node:crypto'

/** A run's, an API token (`ic`), a one-time code, a WebSocket ticket, a refresh token. */
export const TOKEN_KINDS = ['run', 'ic', 'code', 'ticket', 'refresh'] as const
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

/** Not so the name of a function in snake case, `run_` and all: among 43 random characters both cases come. */
export const isRandom = (text: string): boolean => /[a-z]/.test(text) && /[A-Z]/.test(text)

/** The header of session access tokens, and what they begin with: JSON web tokens of `access/sessions.ts`. */
export const ACCESS_TOKEN_HEADER = { alg: 'HS256', typ: 'at+jwt' } as const
export const ACCESS_TOKEN_START = `${Buffer.from(JSON.stringify(ACCESS_TOKEN_HEADER)).toString('base64url')}.`

/** Of each kind the last letter, of which no two have the same. */
export const KINDS_BY_LAST_LETTER = new Map<number, TokenKind>(
  TOKEN_KINDS.map((kind) => [kind.charCodeAt(kind.length - 1), kind]),
)

/**
 * Whether a token of ours stands in a text, whatever stands around it; also percent-encoded, and within the Base64 of
 * `Basic …`, the value of an authorization header.
 */
export function holdsOwnToken(text: string): boolean {
  if (holdsPlainToken(text)) return true
  if (text.includes('%') && holdsPlainToken(withoutPercents(text))) return true
  const basic = /^basic +([\w+/=-]+)$/i.exec(text)?.[1]
  return basic !== undefined && holdsPlainToken(Buffer.from(basic, 'base64').toString('latin1'))
}

/** The same for tokens as they are: some 20 µs for 100 KB of text. */
export function holdsPlainToken(text: string): boolean {
  for (let mark = text.indexOf('_'); mark >= 0; mark = text.indexOf('_', mark + 1))
    if (isTokenAt(text, mark)) return true
  return text.includes(ACCESS_TOKEN_START)
}

/** Most of a token at the end of a text: the 11 characters that may be missing are 66 bits, which nobody guesses. */
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

/** "ic_" comes by chance in a long Base64 text, so there one side must be the token's end. */
export const isWhole = (kind: TokenKind, before: number, after: number): boolean =>
  kind !== 'ic' || !isTokenCharacter(before) || !isTokenCharacter(after)

/** Of base64url. False for NaN, which stands before and after a text. */
export const isTokenCharacter = (code: number): boolean =>
  (code >= 0x61 && code <= 0x7a) ||
  (code >= 0x41 && code <= 0x5a) ||
  (code >= 0x30 && code <= 0x39) ||
  code === 0x5f ||
  code === 0x2d

/** ASCII only, which is all that a token has; what is no escape stays. */
const withoutPercents = (text: string): string =>
  text.replace(/%([2-7][\da-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
