/**
 * Tokens of ours (`tokens.ts`) in a text. They are looked for whatever the policy detects, and wherever they stand: also
 * glued to other words. Like a well-known issuer's, one counts as soon as it is certain and its tail is swallowed.
 */
import { ACCESS_TOKEN_START, isRandom, TOKEN_KINDS, TOKEN_LENGTH, type TokenKind } from '../tokens.ts'
import { isAlphanumeric } from './characters.ts'
import type { SecretMatch } from './secret.ts'
import type { TextWindow } from './text-window.ts'

/** By their last letters, of which no two kinds have the same. */
const KINDS = new Map<number, TokenKind>(TOKEN_KINDS.map((kind) => [kind.charCodeAt(kind.length - 1), kind]))

/** The token whose underscore is at `mark`. */
export function findOwnToken(window: TextWindow, mark: number): SecretMatch | null {
  const kind = KINDS.get(window.before(mark))
  if (kind === undefined) return null
  const start = mark - kind.length
  if (start < window.floor || !window.text.startsWith(kind, start)) return null
  window.candidate = start
  const random = mark + 1
  const end = random + TOKEN_LENGTH
  for (let i = random; i < end; i++) if (!isTokenCharacter(window.at(i))) return null
  if (!isRandom(window.text.slice(random, end))) return null
  // "ic_" comes by chance in a long Base64 text.
  if (kind === 'ic' && isTokenCharacter(window.before(start)) && isTokenCharacter(window.at(end))) return null
  // A session's id follows a refresh token.
  return { type: 'secret', start, end, tail: { also: kind === 'refresh' ? '-_.' : '-_' } }
}

/** A session's access token, from the J of its beginning `eyJ`. */
export function findAccessToken(window: TextWindow, j: number): SecretMatch | null {
  const start = j - 2
  if (start < window.floor || !window.text.startsWith('ey', start)) return null
  window.candidate = start
  const payload = start + ACCESS_TOKEN_START.length
  for (let i = start; i < payload; i++) if (window.at(i) !== ACCESS_TOKEN_START.charCodeAt(i - start)) return null
  if (!isTokenCharacter(window.at(payload))) return null
  return { type: 'secret', start, end: payload + 1, tail: { also: '-_.' } }
}

const isTokenCharacter = (code: number): boolean =>
  code === 0x2d || code === 0x5f || (code < 0x80 && isAlphanumeric(code))
