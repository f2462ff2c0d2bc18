/** Tokens known by the form of their parts instead of a prefix: JSON web tokens, tokens of bots, keys of clouds. */

import * as ascii from '../../core/ascii.ts'
import { beginsSecret, belongs, type SecretMatch } from '../secrets/secret.ts'
import { isPlaceholder } from '../secrets/secret-value.ts'
import { DIGIT, isAlphanumeric, isAsciiDigit, kindOf } from './characters.ts'
import { hexValue } from './escapes.ts'
import type { TextWindow } from './text-window.ts'

/** Maximum header of a web token that is checked; longer ones are assumed valid. */
const MAX_HEADER = 200

/** Finds `header.payload.signature`, each in base64url; the J is the third character of the header. */
export function findWebToken(window: TextWindow, j: number): SecretMatch | null {
  const start = j - 2
  if (start < window.floor || !window.text.startsWith('ey', start)) return null
  const before = window.before(start)
  if (before === ascii.DOT || !beginsSecret(window, start)) return null
  window.candidate = start
  let end = j + 1
  while (end - start < MAX_HEADER && belongs(window.at(end), '-_')) end++
  const tail = { also: '-_.' }
  if (end - start === MAX_HEADER) return { type: 'secret', start, end, tail }
  if (window.at(end) !== ascii.DOT || !isTokenHeader(window.text.slice(start, end))) return null
  for (let i = end + 1; i <= end + 10; i++) if (!belongs(window.at(i), '-_')) return null
  return { type: 'secret', start, end: end + 11, tail }
}

/** JSON in base64url that names an algorithm. */
function isTokenHeader(header: string): boolean {
  return Buffer.from(header, 'base64url').toString('latin1').includes('"alg"')
}

/** Finds `<digits>:AA…`, a Telegram bot's token, from its first digit and its colon. */
export function findBotToken(window: TextWindow, start: number, colon: number): SecretMatch | null {
  window.candidate = start
  if (belongs(window.before(start), '-_') || !window.isAt(colon + 1, 'AA')) return null
  for (let i = colon + 3; i < colon + 34; i++) if (!belongs(window.at(i), '-_')) return null
  return { type: 'secret', start, end: colon + 34, tail: { also: '-_' } }
}

/** Finds `<24 to 26>.<6>.<27 or more>`, a Discord bot's token, from its first dot. */
export function findDottedToken(window: TextWindow, dot: number): SecretMatch | null {
  if (dot - window.floor < 17) return null
  // Most dots are ruled out by the characters a few positions before or after them.
  const isPersonal = window.before(dot - 16) === ascii.LOWER_P || window.before(dot - 17) === ascii.LOWER_P
  if (!isPersonal && window.at(dot + 7) !== ascii.DOT) return null
  let start = dot
  while (dot - start < 27 && start > window.floor && belongs(window.before(start), '')) start--
  const length = dot - start
  if ((length === 17 || length === 18) && window.text.startsWith('pat', start))
    return findPersonalToken(window, start, dot)
  const first = window.text.charCodeAt(start)
  if (length < 24 || length > 26 || first < ascii.UPPER_M || first > ascii.UPPER_O) return null
  window.candidate = start
  for (let i = dot + 1; i <= dot + 6; i++) if (!belongs(window.at(i), '-_')) return null
  if (window.at(dot + 7) !== ascii.DOT) return null
  for (let i = dot + 8; i < dot + 35; i++) if (!belongs(window.at(i), '-_')) return null
  return { type: 'secret', start, end: dot + 35, tail: { also: '-_' } }
}

/** Finds `pat<14 or 15>.<64 hexadecimal digits>`, an Airtable token. */
function findPersonalToken(window: TextWindow, start: number, dot: number): SecretMatch | null {
  window.candidate = start
  for (let i = dot + 1; i <= dot + 64; i++) if (hexValue(window.at(i)) < 0) return null
  return { type: 'secret', start, end: dot + 65, tail: { also: '' } }
}

/** Finds `<3><digit>Q~<31 to 34>`, an Azure client secret, from its tilde. */
export function findTildeSecret(window: TextWindow, tilde: number): SecretMatch | null {
  const start = tilde - 5
  if (start < window.floor || window.before(tilde) !== ascii.UPPER_Q || !(kindOf(window.before(tilde - 1)) & DIGIT))
    return null
  for (let i = start; i < tilde - 2; i++) if (!belongs(window.text.charCodeAt(i), '-_.~')) return null
  // A tilde may be part of one, so none begins after it.
  if (window.before(start) === ascii.TILDE || !beginsSecret(window, start)) return null
  window.candidate = start
  const end = tilde + 32
  for (let i = tilde + 1; i < end; i++) if (!belongs(window.at(i), '-_.~')) return null
  return isPlaceholder(window.text.slice(tilde, end)) ? null : { type: 'secret', start, end, tail: { also: '-_.~' } }
}

/** Finds `00D<12 to 15>!<80 or more>`, a Salesforce session, from its exclamation mark. */
export function findSessionToken(window: TextWindow, mark: number): SecretMatch | null {
  let start = mark
  while (mark - start < 19 && start > window.floor && belongs(window.before(start), '')) start--
  if (mark - start < 15 || mark - start > 18 || !window.text.startsWith('00D', start)) return null
  window.candidate = start
  const end = mark + 81
  for (let i = mark + 1; i < end; i++) if (!belongs(window.at(i), '_.')) return null
  return { type: 'secret', start, end, tail: { also: '_.' } }
}

/** Finds `<15 or 16 digits>|<27>`, a Facebook app's access token, from its first digit and its bar. */
export function findAppToken(window: TextWindow, start: number, bar: number): SecretMatch | null {
  window.candidate = start
  if (!beginsSecret(window, start)) return null
  const end = bar + 28
  for (let i = bar + 1; i < end; i++) if (!belongs(window.at(i), '-_')) return null
  return belongs(window.at(end), '-_') ? null : { type: 'secret', start, end, tail: null }
}

/** Finds `1//0<40 or more>`, a Google refresh token, from its one. */
export function findRefreshToken(window: TextWindow, start: number): SecretMatch | null {
  if (!beginsSecret(window, start)) return null
  window.candidate = start
  if (!window.isAt(start + 1, '//0')) return null
  const end = start + 44
  for (let i = start + 4; i < end; i++) if (!belongs(window.at(i), '-_')) return null
  return { type: 'secret', start, end, tail: { also: '-_' } }
}

/** Finds `…JQQJ99…`, a key of Azure's services, from the second J. */
export function findServiceKey(window: TextWindow, j: number): SecretMatch | null {
  if (!window.text.startsWith('JQQ', j - 3)) return null
  let start = j
  while (j - start < 64 && start > window.floor && belongs(window.before(start), '')) start--
  if (j - start < 52) return null
  window.candidate = start
  const end = j + 24
  for (let i = j + 1; i < end; i++) if (!belongs(window.at(i), '')) return null
  return { type: 'secret', start, end, tail: { also: '' } }
}

/** Finds `<32 hexadecimal digits>-us<number>`, a Mailchimp key, from its hyphen. */
export function findDataCenterKey(window: TextWindow, hyphen: number): SecretMatch | null {
  if (hyphen - window.floor < 31 || !window.isAt(hyphen + 1, 'us')) return null
  let start = hyphen
  while (hyphen - start < 33 && start > window.floor && hexValue(window.before(start)) >= 0) start--
  const length = hyphen - start
  if (length < 31 || length > 32 || isAlphanumeric(window.before(start))) return null
  window.candidate = start
  let end = hyphen + 3
  while (end - hyphen < 5 && isAsciiDigit(window.at(end))) end++
  return end === hyphen + 3 || isAlphanumeric(window.at(end)) ? null : { type: 'secret', start, end, tail: null }
}
