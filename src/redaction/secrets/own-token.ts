/**
 * Our own tokens (`tokens.ts`) in a text. They are detected under any policy, and anywhere, even glued to other words.
 * Like those of well-known issuers, one counts as soon as it is certain, and its tail is swallowed.
 */
import {
  ACCESS_TOKEN_START,
  isRandom,
  isTokenCharacter,
  isWhole,
  KINDS_BY_LAST_LETTER,
  TOKEN_LENGTH,
} from '../../core/tokens.ts'
import type { TextWindow } from '../text/text-window.ts'
import type { SecretMatch } from './secret.ts'

/** The last letter of a kind of token. */
export function mayEndTokenKind(code: number): boolean {
  return KINDS_BY_LAST_LETTER.has(code)
}

/** Finds the token whose underscore is at `mark`. */
export function findOwnToken(window: TextWindow, mark: number): SecretMatch | null {
  const kind = KINDS_BY_LAST_LETTER.get(window.before(mark))
  if (kind === undefined) return null
  const start = mark - kind.length
  if (start < window.floor || !window.text.startsWith(kind, start)) return null
  window.candidate = start
  const random = mark + 1
  const end = random + TOKEN_LENGTH
  for (let i = random; i < end; i++) if (!isTokenCharacter(window.at(i))) return null
  if (!isRandom(window.text.slice(random, end))) return null
  // Only this kind reads the character after it: others count as soon as they are certain.
  if (kind === 'ic' && !isWhole(kind, window.before(start), window.at(end))) return null
  // A session's id follows a refresh token.
  return { type: 'secret', start, end, tail: { also: kind === 'refresh' ? '-_.' : '-_' } }
}

/** Finds a session's access token, from the J of its beginning `eyJ`. */
export function findAccessToken(window: TextWindow, j: number): SecretMatch | null {
  const start = j - 2
  if (start < window.floor || !window.text.startsWith('ey', start)) return null
  window.candidate = start
  const payload = start + ACCESS_TOKEN_START.length
  for (let i = start; i < payload; i++) if (window.at(i) !== ACCESS_TOKEN_START.charCodeAt(i - start)) return null
  if (!isTokenCharacter(window.at(payload))) return null
  return { type: 'secret', start, end: payload + 1, tail: { also: '-_.' } }
}
