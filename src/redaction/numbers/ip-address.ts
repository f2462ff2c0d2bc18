/** IP addresses: any valid IPv4 with dots, any valid IPv6, but no versions, times, hardware addresses or `a::b`. */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, isAlphanumeric, isAsciiDigit, isWordCharacter, kindOf, LETTER } from '../text/characters.ts'
import { beginsWord, textBefore } from '../text/digits.ts'
import { escapeBefore, hexValue } from '../text/escapes.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

/** Words before four numbers with dots that make them a version or a section number. */
const VERSION_WORD =
  /(?:(?:version|\bver|release|build|firmware|section|\bsec|\boid|chapter|clause)["')\]]?[.: =("']{1,4}|\bv\.? ?|== ?|§ ?)$/
/** `Chrome/120.0.0.0` is a product; `db.example.com/10.0.0.1` is how Java prints an address. */
const PRODUCT = /(?:^|[^\w./-])(?!localhost)[\w-]+\/$/

/** Finds the IPv4 address whose first digit is at `start`. */
export function findIpv4(window: TextWindow, start: number): Match | null {
  window.candidate = start
  if (!mayBeginIpv4(window, start)) return null
  const end = ipv4End(window, start)
  if (end < 0) return null
  const next = window.at(end)
  if (isWordCharacter(next) || (next === ascii.UNDERSCORE && isAlphanumeric(window.at(end + 1)))) return null
  // `1.2.3.4-beta` is a version, `10.0.0.1-10.0.0.9` a range.
  if ((next === ascii.HYPHEN || next === ascii.PLUS) && kindOf(window.at(end + 1)) & LETTER) return null
  if (next === ascii.DOT && kindOf(window.at(end + 1)) & DIGIT) return null
  const context = textBefore(window, start, 24)
  return VERSION_WORD.test(context) || PRODUCT.test(context) ? null : { type: 'ip', start, end }
}

function mayBeginIpv4(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (before === ascii.DOT) return false
  if (before === ascii.UNDERSCORE) return !isAlphanumeric(window.before(start - 1))
  if (before === ascii.COLON) return window.before(start - 1) !== ascii.COLON
  if (before === ascii.HYPHEN) return !(kindOf(window.before(start - 1)) & LETTER)
  return beginsWord(window, start)
}

/** Returns the end of four numbers of 0 to 255 without leading zeros and with dots (or `[.]`) between, or -1. */
function ipv4End(window: TextWindow, start: number): number {
  let position = start
  for (let octet = 0; octet < 4; octet++) {
    if (octet > 0) {
      position = dotEnd(window, position)
      if (position < 0) return -1
    }
    let value = 0
    let length = 0
    for (; length < 4; length++, position++) {
      const code = window.at(position)
      if (!isAsciiDigit(code)) break
      value = value * 10 + code - ascii.ZERO
    }
    const first = window.text.charCodeAt(position - length)
    if (length === 0 || value > 255 || (first === ascii.ZERO && length > 1)) return -1
  }
  return position
}

function dotEnd(window: TextWindow, position: number): number {
  if (window.at(position) === ascii.DOT) return position + 1
  return window.isAt(position, '[.]') ? position + 3 : -1
}

/** Finds the IPv6 address whose first colon is at `colon`. */
export function findIpv6(window: TextWindow, colon: number): Match | null {
  let start = colon
  // A preceding escape may end in hexadecimal digits: `\u003c2001:db8::1`.
  while (colon - start < 5 && start > window.floor && hexValue(window.before(start)) >= 0) {
    if (start < colon && escapeBefore(window.text, start)) break
    start--
  }
  window.candidate = start
  if (colon - start > 4 || !mayBeginIpv6(window, start)) return null
  const end = ipv6End(window, start)
  if (end < 0) return null
  return { type: 'ip', start, end: zoneEnd(window, end) }
}

function mayBeginIpv6(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (before === ascii.COLON) return LABEL.test(window.text.slice(Math.max(0, start - 24), start))
  if (before === ascii.UNDERSCORE) return !isAlphanumeric(window.before(start - 1))
  return before !== ascii.DOT && beginsWord(window, start)
}

/** `address:2001:db8::1`: a word that is not a group of an address. */
const LABEL = /(?:^|[^\w:])(?=\w*[g-z_])[a-z_]+:$/i

function ipv6End(window: TextWindow, start: number): number {
  let groups = 0
  let gap = false
  let pairs = true
  let digits = 0
  let position = start
  for (;;) {
    if (window.at(position) === ascii.COLON && window.at(position + 1) === ascii.COLON) {
      if (gap) return -1
      gap = true
      position += 2
    } else if (groups > 0) {
      if (window.at(position) !== ascii.COLON || hexValue(window.at(position + 1)) < 0) break
      position++
    } else if (hexValue(window.at(position)) < 0) return -1
    const groupStart = position
    while (position - groupStart < 5) {
      const code = window.at(position)
      if (hexValue(code) < 0) break
      if (code <= ascii.NINE) digits++
      position++
    }
    const length = position - groupStart
    if (length > 4) return -1
    if (length === 0) break
    if (window.at(position) === ascii.DOT && groups + (gap ? 1 : 2) <= 7) {
      const end = ipv4End(window, groupStart)
      if (end > 0) return (gap || groups === 6) && !isAlphanumeric(window.at(end)) ? end : -1
    }
    if (length !== 2) pairs = false
    if (++groups > 8) return -1
  }
  const next = window.at(position)
  if (isWordCharacter(next) || (next === ascii.UNDERSCORE && isAlphanumeric(window.at(position + 1)))) return -1
  if (next === ascii.COLON && window.at(position + 1) === ascii.COLON) return -1
  if ((next === ascii.COLON || next === ascii.DOT) && isAlphanumeric(window.at(position + 1))) return -1
  if (gap ? groups > 7 || groups === 0 : groups !== 8) return -1
  // Words of hexadecimal letters around `::` are code; pairs without a gap are hardware addresses.
  return digits === 0 || (pairs && !gap) || (gap && position - start < 6 && isCode(window, start)) ? -1 : position
}

/** A step or an operator: `rows[1::6]`, `[:, 1::6]`, `f(a::b)`; but `http://[1::6]/` is an address. */
function isCode(window: TextWindow, start: number): boolean {
  const at = window.before(start) === ascii.SPACE ? start - 1 : start
  const before = window.before(at)
  if (before === ascii.OPEN_BRACKET) return window.before(at - 1) !== ascii.SLASH
  return mayPrecedeCode(before)
}

const mayPrecedeCode = ascii.oneOf('<(&,')

/** `fe80::1%eth0` */
function zoneEnd(window: TextWindow, end: number): number {
  if (window.at(end) !== ascii.PERCENT) return end
  // `%20` after it in a URL is a space.
  if (window.read(end) > end + 1) return end
  let position = end + 1
  while (position - end <= 16 && isAlphanumeric(window.at(position))) position++
  return position === end + 1 ? end : position
}
