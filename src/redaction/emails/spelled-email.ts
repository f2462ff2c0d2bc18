/**
 * E-mail addresses with at and dot spelled out to hide them from programs: `jane [at] example
 * [dot] com`, `jane.doe AT example DOT org`, `jane_at_example_dot_com`, `jane @ example . com`.
 *
 * In brackets the words are unambiguous. Bare words are ordinary English (`look at example dot com`), so the local part
 * must look like one, or the domain must belong to a well-known provider.
 */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from '../text/characters.ts'
import { textBefore } from '../text/digits.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'
import { isClosing, isOpening, spelledDomainEnd } from './email-domain.ts'
import { localRun, MAX_LOCAL } from './local-part.ts'

const MAIL_PROVIDERS = /^(?:gmail|googlemail|yahoo|outlook|hotmail|live|icloud|aol|gmx|proton|protonmail|yandex|zoho)$/i
/** Before a name, it indicates that an address follows. */
const MAIL_WORD = /mail|contact|reach|write|address/
/** `com`, `org`, `de`, but not a word of a sentence. */
const SHORT_ENDING = /[^a-z][a-z]{2,4}$/i
/** A spelled dot at the end of the text before a name. */
const SPELLED_DOT = /(?: dot | ?[([{<] ?(?:dot|\.) ?[)\]}>] ?|_dot_)$/i
/** The beginning of a spelled mark before any of its triggers. */
const BEGUN_MARK = /^ ?[([{<]? ?(?:a|d|do|dot|\.)?[)\]}>]? ?$/i
/** Maximum length of such a beginning. */
const MAX_BEGUN = 8

/** Finds the address around a mark in brackets, whose t of its at, or at sign, is at `position`. */
export function findBracketedAt(window: TextWindow, position: number): Match | null {
  const isSign = window.text.charCodeAt(position) === ascii.AT
  const mark = isSign ? position : position - 1
  const bracket = window.before(mark) === ascii.SPACE ? mark - 2 : mark - 1
  if (bracket < window.floor || !isOpening(window.text.charCodeAt(bracket))) return null
  const domain = domainBehind(window, position + 1)
  // Reading back comes last, after which possible cuts are checked again.
  if (domain < 0 && !window.cut) return null
  window.cut = false
  const nameEnd = window.before(bracket) === ascii.SPACE ? bracket - 1 : bracket
  if (!beginsName(window, nameEnd)) return null
  const begin = domainBehind(window, position + 1)
  return begin < 0 ? null : findAround(window, nameEnd, begin, true)
}

/** Returns where a domain may begin after the bracket that closes an at, or -1. */
function domainBehind(window: TextWindow, end: number): number {
  const close = window.at(end) === ascii.SPACE ? end + 1 : end
  if (!isClosing(window.at(close))) return -1
  return window.at(close + 1) === ascii.SPACE ? close + 2 : close + 1
}

/** Finds the address around the word at, whose t is at `t`: between spaces or underscores. */
export function findWordAt(window: TextWindow, t: number): Match | null {
  const frame = window.before(t - 1)
  if ((window.before(t) | ascii.LOWER_CASE) !== ascii.LOWER_A || (frame !== ascii.SPACE && frame !== ascii.UNDERSCORE))
    return null
  // A domain rarely follows, so that is checked first: a name may contain many such words between underscores, and each
  // would read back over all of it. It is checked again below, when it is known what would be held back.
  const isPossible = window.at(t + 1) === frame && spelledDomainEnd(window, t + 2) > 0
  if (!isPossible && !window.cut) return null
  window.cut = false
  if (!beginsName(window, t - 2) || window.at(t + 1) !== frame) return null
  return findAround(window, t - 2, t + 2, false)
}

/** Finds the address around an at sign between spaces. */
export function findSpacedAtSign(window: TextWindow, at: number): Match | null {
  if (window.before(at) !== ascii.SPACE || !beginsName(window, at - 1) || window.at(at + 1) !== ascii.SPACE) return null
  return findAround(window, at - 1, at + 2, false)
}

/** A name ends at a position. It becomes the candidate. */
function beginsName(window: TextWindow, end: number): boolean {
  const start = namesStart(window.text, end, window.floor)
  window.candidate = start
  return start < end
}

/** Finds the address of the name that begins at the candidate and ends at `nameEnd`, with the domain at `domain`. */
function findAround(window: TextWindow, nameEnd: number, domain: number, isClear: boolean): Match | null {
  let start = window.candidate
  while (start < nameEnd && !isAlphanumeric(window.text.charCodeAt(start))) start++
  if (start === nameEnd) return null
  const end = spelledDomainEnd(window, domain)
  if (end < 0) return null
  const mark = window.text.slice(nameEnd, domain)
  const name = window.text.slice(start, nameEnd)
  const host = window.text.slice(domain, end)
  if (isClear || MAIL_PROVIDERS.test(/^[\w-]*/.exec(host)?.[0] ?? '')) return { type: 'email', start, end }
  const isSpelled = / dot | \. |_dot_|[([{<]/i.test(host)
  const isMarked = mark === ' @ ' || mark === ' AT ' || mark.startsWith('_')
  const isName = /[._\d]| dot /i.test(name) || isMarked || MAIL_WORD.test(textBefore(window, start, 32))
  return isSpelled && isName && SHORT_ENDING.test(host) ? { type: 'email', start, end } : null
}

/** Goes back over a local part that ends at `end`, and over earlier names that spelled dots join to it. */
function namesStart(text: string, end: number, floor: number): number {
  const limit = Math.max(floor, end - MAX_LOCAL)
  let start = localRun(text, end, limit)
  for (;;) {
    const mark = SPELLED_DOT.exec(text.slice(Math.max(limit, start - 8), start))
    if (!mark) return start
    const before = start - mark[0].length
    const previous = localRun(text, before, limit)
    if (previous === before) return start
    start = previous
  }
}

/** Returns the start of text that could become the local part of a spelled address. */
export function spelledHold(text: string, end: number, floor: number): number {
  let hold = namesStart(text, end, floor)
  // Every way to read the end as a name and the beginning of a mark: `x d ` could continue as `x dot …` or as `d at …`.
  for (let mark = end - 1; mark > floor && end - mark <= MAX_BEGUN; mark--) {
    const code = text.charCodeAt(mark)
    if ((code !== ascii.SPACE && !isOpening(code)) || !BEGUN_MARK.test(text.slice(mark, end))) continue
    const start = namesStart(text, mark, floor)
    if (start < mark) hold = Math.min(hold, start)
  }
  return hold
}
