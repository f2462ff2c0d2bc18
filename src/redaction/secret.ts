/**
 * Keys and tokens of well-known issuers, JSON web tokens, passwords in URLs and private keys. They are recognised by the
 * form their issuer gave them; a value that is only called a password is not. A long one has an open end: as soon as it
 * is certain it counts, and what follows of it is swallowed as it comes (`tailEnd`).
 */
import { isAlphanumeric } from './characters.ts'
import { hexValue } from './escapes.ts'
import { ISSUERS, type Issuer } from './issuers.ts'
import type { Match } from './match.ts'
import type { TextWindow } from './text-window.ts'

/** How a secret goes on once it is certain: the characters that still belong to it. */
export type Tail = { also: string } | 'key_block'

export interface SecretMatch extends Match {
  tail: Tail | null
}

/** The longest header of a web token looked at; longer ones are taken for certain. */
const HEADER_MAX = 200
/** The longest user or password in a URL. */
const USER_INFO_MAX = 96

/** Issuers by how their prefix starts: up to its first hyphen, underscore or dot, or else four letters. */
const ISSUERS_BY_START = new Map<string, Issuer[]>()
/**
 * For the last character before the mark, or the mark itself where a prefix begins with it: the lengths that starts have
 * before the mark, as bits. Spares most look-ups.
 */
const START_LENGTHS = new Uint16Array(128)
for (const issuer of ISSUERS) {
  const start = /^(?:[^-_.=]{0,8}[-_.]|.{4})/.exec(issuer.prefix)?.[0] ?? issuer.prefix
  ISSUERS_BY_START.set(start, [...(ISSUERS_BY_START.get(start) ?? []), issuer])
  const length = start.length - 1
  const last = start.charCodeAt(Math.max(0, length - 1))
  START_LENGTHS[last] = (START_LENGTHS[last] ?? 0) | (1 << length)
}
/** Those whose four letters begin with A. */
const ISSUERS_OF_A = [...ISSUERS_BY_START].flatMap(([start, issuers]) => (/^A.{3}$/.test(start) ? issuers : []))

/** The secret whose prefix has its first hyphen, underscore or dot at `mark`. */
export function findMarkedSecret(window: TextWindow, mark: number): SecretMatch | null {
  const before = window.before(mark)
  const last = isAlphanumeric(before) ? before : window.text.charCodeAt(mark)
  const lengths = before < 128 ? (START_LENGTHS[last] as number) : 0
  if (lengths === 0) return null
  let start = mark
  while (mark - start < 9 && start > window.floor && isAlphanumeric(window.before(start))) start--
  if (!(lengths & (1 << (mark - start))) || belongs(window.before(start), '-_')) return null
  return findIssued(window, start, window.text.slice(start, mark + 1))
}

/** The secret that begins with the capital A at `start`. */
export function findSecretOfA(window: TextWindow, start: number): SecretMatch | null {
  if (isAlphanumeric(window.before(start))) return null
  window.candidate = start
  return matchAny(window, start, ISSUERS_OF_A)
}

function findIssued(window: TextWindow, start: number, begin: string): SecretMatch | null {
  const issuers = ISSUERS_BY_START.get(begin)
  if (!issuers) return null
  window.candidate = start
  return matchAny(window, start, issuers)
}

function matchAny(window: TextWindow, start: number, issuers: readonly Issuer[]): SecretMatch | null {
  for (const issuer of issuers) {
    const match = matchIssuer(window, start, issuer)
    if (match) return match
  }
  return null
}

function matchIssuer(window: TextWindow, start: number, issuer: Issuer): SecretMatch | null {
  const { prefix, least, also } = issuer
  for (let i = 0; i < prefix.length; i++) if (window.at(start + i) !== prefix.charCodeAt(i)) return null
  let begin = start + prefix.length
  const assigned = prefix.endsWith('=')
  while (assigned && begin - start < prefix.length + 2 && (window.at(begin) === 0x20 || window.at(begin) === 0x22))
    begin++
  const end = begin + least
  for (let i = begin; i < end; i++) if (!belongs(window.at(i), also)) return null
  if (issuer.exact) return belongs(window.at(end), also) ? null : { type: 'secret', start, end, tail: null }
  if (isPlaceholder(window.text.slice(begin, end))) return null
  return { type: 'secret', start: assigned ? begin : start, end, tail: { also } }
}

function belongs(code: number, also: string): boolean {
  if (code >= 0x80) return false
  if (isAlphanumeric(code)) return true
  for (let i = 0; i < also.length; i++) if (also.charCodeAt(i) === code) return true
  return false
}

/** What stands in documentation where a secret would be. */
function isPlaceholder(body: string): boolean {
  if (/(.)\1{4}|x{4}|12345|abcdef|your|example|placeholder|_token|here/i.test(body)) return true
  return new Set(body).size < 6 || !/[A-Z\d]/.test(body)
}

/** `header.payload.signature`, each in base64url; the J is the third character of the header. */
export function findWebToken(window: TextWindow, j: number): SecretMatch | null {
  const start = j - 2
  if (start < window.floor || window.text.charCodeAt(start) !== 0x65 || window.text.charCodeAt(j - 1) !== 0x79)
    return null
  if (belongs(window.before(start), '-_.')) return null
  window.candidate = start
  let end = j + 1
  while (end - start < HEADER_MAX && belongs(window.at(end), '-_')) end++
  const tail = { also: '-_.' }
  if (end - start === HEADER_MAX) return { type: 'secret', start, end, tail }
  if (window.at(end) !== 0x2e || !isTokenHeader(window.text.slice(start, end))) return null
  for (let i = end + 1; i <= end + 10; i++) if (!belongs(window.at(i), '-_')) return null
  return { type: 'secret', start, end: end + 11, tail }
}

/** JSON in base64url that names an algorithm. */
function isTokenHeader(header: string): boolean {
  return Buffer.from(header, 'base64url').toString('latin1').includes('"alg"')
}

/** What stands in documentation where a password would be. */
const STAND_IN = /^(?:.{1,2}|pass(?:word|wd)?|pwd|secret|x+|\*+|<.*>|[[{$(].*)$/i

/** The password of `scheme://user:password@host`, from the colon of the scheme. */
export function findUrlPassword(window: TextWindow, colon: number): SecretMatch | null {
  if (window.at(colon + 1) !== 0x2f || window.at(colon + 2) !== 0x2f) return null
  window.candidate = colon
  const user = colon + 3
  const separator = userInfoEnd(window, user)
  if (window.at(separator) !== 0x3a || isPort(window, separator + 1)) return null
  const end = userInfoEnd(window, separator + 1)
  if (end === separator + 1 || window.at(end) !== 0x40) return null
  const password = window.text.slice(separator + 1, end)
  if (password === window.text.slice(user, separator) || STAND_IN.test(password)) return null
  return { type: 'secret', start: separator + 1, end, tail: null }
}

function userInfoEnd(window: TextWindow, start: number): number {
  let end = start
  for (; end - start < USER_INFO_MAX; end++) {
    const code = window.at(end)
    if (code <= 0x20 || code === 0x40 || code === 0x3a || code === 0x2f || code === 0x22 || code === 0x27) break
  }
  return end
}

/** `http://localhost:8080/` */
function isPort(window: TextWindow, start: number): boolean {
  let end = start
  while (end - start < 6 && window.at(end) >= 0x30 && window.at(end) <= 0x39) end++
  return end > start && window.at(end) !== 0x40 && !isAlphanumeric(window.at(end))
}

const KEY_BEGIN = /^-----BEGIN [A-Z\d ]{0,30}PRIVATE KEY(?: BLOCK)?-----/
const KEY_END = /-----END [A-Z\d ]{1,40}-----$/

/** A private key in PEM, from the first hyphen of its first line. */
export function findPrivateKey(window: TextWindow, start: number): SecretMatch | null {
  if (window.before(start) === 0x2d) return null
  window.candidate = start
  const opening = '-----BEGIN '
  for (let i = 0; i < opening.length; i++) if (window.at(start + i) !== opening.charCodeAt(i)) return null
  let hyphens = 0
  let end = start + opening.length
  for (; hyphens < 5; end++) {
    if (window.at(end) === 0x2d) hyphens++
    else if (hyphens > 0 || end - start > 64) return null
  }
  if (!KEY_BEGIN.test(window.text.slice(start, end))) return null
  // The line break may be an escape: `\n` or `\\n`.
  while (end - start < 90 && /[\s\\nr]/.test(String.fromCharCode(window.at(end)))) end++
  for (let i = end; i < end + 4; i++) if (!belongs(window.at(i), '+/=')) return null
  return { type: 'secret', start, end: end + 4, tail: 'key_block' }
}

/** `<digits>:AA…`, the token of a Telegram bot, from its first digit and its colon. */
export function findBotToken(window: TextWindow, start: number, colon: number): SecretMatch | null {
  window.candidate = start
  if (belongs(window.before(start), '-_') || window.at(colon + 1) !== 0x41 || window.at(colon + 2) !== 0x41) return null
  for (let i = colon + 3; i < colon + 34; i++) if (!belongs(window.at(i), '-_')) return null
  return { type: 'secret', start, end: colon + 34, tail: { also: '-_' } }
}

/** `<24 to 28>.<6>.<27 and more>`, the token of a Discord bot, from its first dot. */
export function findDottedToken(window: TextWindow, dot: number): SecretMatch | null {
  if (dot - window.floor < 23) return null
  let start = dot
  while (dot - start < 29 && start > window.floor && belongs(window.before(start), '')) start--
  if (dot - start < 23 || dot - start > 28) return null
  window.candidate = start
  for (let i = dot + 1; i <= dot + 6; i++) if (!belongs(window.at(i), '-_')) return null
  if (window.at(dot + 7) !== 0x2e) return null
  for (let i = dot + 8; i < dot + 35; i++) if (!belongs(window.at(i), '-_')) return null
  return { type: 'secret', start, end: dot + 35, tail: { also: '-_' } }
}

/** `<32 hexadecimal digits>-us<number>`, a key of Mailchimp, from its hyphen. */
export function findDataCenterKey(window: TextWindow, hyphen: number): SecretMatch | null {
  if (hyphen - window.floor < 31 || hexValue(window.before(hyphen)) < 0) return null
  let start = hyphen
  while (hyphen - start < 33 && start > window.floor && hexValue(window.before(start)) >= 0) start--
  const length = hyphen - start
  if (length < 31 || length > 32 || isAlphanumeric(window.before(start))) return null
  window.candidate = start
  if (window.at(hyphen + 1) !== 0x75 || window.at(hyphen + 2) !== 0x73) return null
  let end = hyphen + 3
  while (end - hyphen < 5 && window.at(end) >= 0x30 && window.at(end) <= 0x39) end++
  return end === hyphen + 3 || isAlphanumeric(window.at(end)) ? null : { type: 'secret', start, end, tail: null }
}

/** Where the rest of a secret ends that is certain up to `from`. May be the end of a text that goes on. */
export function tailEnd(window: TextWindow, from: number, tail: Tail): number {
  return tail === 'key_block' ? keyBlockEnd(window.text, from) : wordEnd(window, from, tail.also)
}

/** A dot belongs to the secret when the secret goes on behind it. */
function wordEnd(window: TextWindow, from: number, also: string): number {
  let end = from
  for (;;) {
    const code = window.at(end)
    if (!belongs(code, also) || (code === 0x2e && !belongs(window.at(end + 1), also.replace('.', '')))) return end
    end++
  }
}

/** Up to the END line, or the first character that no key has. */
function keyBlockEnd(text: string, from: number): number {
  if (KEY_END.test(text.slice(Math.max(0, from - 56), from))) return from
  for (let end = from; end < text.length; end++) {
    const code = text.charCodeAt(end)
    if (!(belongs(code, '+/=-:,\\') || code === 0x20 || (code >= 0x09 && code <= 0x0d))) return end
    if (code === 0x2d && KEY_END.test(text.slice(Math.max(0, end - 56), end + 1))) return end + 1
  }
  return text.length
}
