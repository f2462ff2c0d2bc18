/**
 * E-mail addresses, found from their at sign: back over the local part, forward over the domain; also when characters
 * are escaped (`jane%40example.com`) or invisible ones are inserted. Spelled ones are in `spelled-email.ts`.
 */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, isAlphanumeric, kindOf } from '../text/characters.ts'
import { slashesStart } from '../text/escapes.ts'
import type { Match } from '../text/match.ts'
import { inlineTagEnd, inlineTagStart } from '../text/tags.ts'
import type { TextWindow } from '../text/text-window.ts'
import { domainEnd } from './email-domain.ts'
import { localStart } from './local-part.ts'
import { isAccount } from './user-at-host.ts'

/** Finds the address around the at sign at [at, afterAt). */
export function findEmail(window: TextWindow, at: number, afterAt: number): Match | null {
  // In hostile text most at signs have no domain: checking that first avoids the search back.
  const domain = afterTags(window, afterAt)
  window.read(domain)
  if (!isAlphanumeric(window.code) && window.code !== ascii.OPEN_BRACKET && !window.cut) return null
  const localEnd = beforeMark(window, at)
  const start = localStart(window.text, localEnd, window.floor)
  window.candidate = start
  if (start === localEnd || !mayBeginAddress(window, start)) return null
  const end = window.at(domain) === ascii.OPEN_BRACKET ? addressLiteralEnd(window, domain) : domainEnd(window, domain)
  if (end < 0 || isRepositoryPath(window, start, localEnd, end) || isVersion(window, domain, end)) return null
  if (isAccount(window, start, end)) return null
  // Markdown emphasis: `_jane@example.com_`
  const emphasized = window.text.charCodeAt(start) === ascii.UNDERSCORE && window.at(end) === ascii.UNDERSCORE
  return { type: 'email', start: emphasized ? start + 1 : start, end }
}

/** Returns the end of a local part before an at sign that is escaped (`\\@`) or within tags. */
function beforeMark({ text, floor }: TextWindow, at: number): number {
  const end = slashesStart(text, at)
  return Math.max(text.charCodeAt(end - 1) === ascii.GREATER_THAN ? inlineTagStart(text, end) : end, floor)
}

function afterTags(window: TextWindow, from: number): number {
  let start = from
  for (let end = inlineTagEnd(window, start); end > 0; end = inlineTagEnd(window, start)) start = end
  return start
}

/** An earlier at sign makes it a typo or a handle; a scheme makes it the user or password of a URL. */
function mayBeginAddress(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (before === ascii.AT) return false
  if (before !== ascii.SLASH && before !== ascii.COLON) return true
  return !USER_INFO.test(window.text.slice(Math.max(0, start - MAX_USER_INFO), start))
}

const USER_INFO = /:\/\/(?:[^\s/@:]*:)?$/
const MAX_USER_INFO = 64

/** `git@github.com:owner/name.git` */
function isRepositoryPath(window: TextWindow, start: number, at: number, end: number): boolean {
  if (at - start > 3 || !/^(?:git|hg|svn)$/i.test(window.text.slice(start, at))) return false
  const next = window.at(end)
  return next === ascii.COLON || next === ascii.SLASH
}

/** `numpy@1.26.4.dev`: two numbers or more before the last label. */
function isVersion(window: TextWindow, begin: number, end: number): boolean {
  return /^(?:\d+\.){2,}[a-z]+$/i.test(window.text.slice(begin, end))
}

/** `jane@[192.0.2.1]` */
function addressLiteralEnd(window: TextWindow, bracket: number): number {
  let end = bracket + 1
  let dots = 0
  for (; end - bracket <= 16; end++) {
    const code = window.at(end)
    if (code === ascii.CLOSE_BRACKET) return dots === 3 ? end + 1 : -1
    if (code === ascii.DOT) dots++
    else if (!(kindOf(code) & DIGIT)) return -1
  }
  return -1
}
