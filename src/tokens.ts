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

const RANDOM = `(?=[\\w-]{0,42}[a-z])(?=[\\w-]{0,42}[A-Z])[\\w-]{${TOKEN_LENGTH}}`
const LONG_KINDS = TOKEN_KINDS.filter((kind) => kind !== 'ic').join('|')
/** "ic_" comes by chance in a long Base64 text, so one side of the token must be its end. */
const OWN_TOKEN = new RegExp(
  `(?:${LONG_KINDS})_${RANDOM}|(?<![\\w-])ic_${RANDOM}|ic_${RANDOM}(?![\\w-])|${ACCESS_TOKEN_START.replace('.', '\\.')}[\\w-]`,
)

/**
 * Whether a token of ours stands in a text, whatever stands around it; also percent-encoded, and within the Base64 of
 * `Basic …`, the value of an authorization header.
 */
export function holdsOwnToken(text: string): boolean {
  if (OWN_TOKEN.test(text)) return true
  if (text.includes('%') && OWN_TOKEN.test(withoutPercents(text))) return true
  const basic = /^basic +([\w+/=-]+)$/i.exec(text)?.[1]
  return basic !== undefined && OWN_TOKEN.test(Buffer.from(basic, 'base64').toString('latin1'))
}

/** ASCII only, which is all that a token has; what is no escape stays. */
const withoutPercents = (text: string): string =>
  text.replace(/%([2-7][\da-f])/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
