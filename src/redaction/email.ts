/**
 * E-mail addresses, found from their at sign: back over the local part, forward over the domain. Also written with
 * escapes (`jane%40example.com`), invisible characters, or words (`jane [at] example [dot] com`).
 */
import { DIGIT, IGNORED, isAlphanumeric, isIdeographic, kindOf, LETTER, LOCAL } from './characters.ts'
import type { Match } from './match.ts'
import { spelledDomainEnd } from './spelled-email.ts'
import { END, ENTITY_MAX, entityCode, hexValue, TextWindow } from './text-window.ts'

/** The longest local part looked at, in raw characters (64 are legal; escapes take more). */
export const LOCAL_MAX = 96
/** The longest domain looked at, in raw characters. With LOCAL_MAX this keeps what a stream holds back under 320. */
const DOMAIN_MAX = 200

/** What looks like a domain in `image@2x.png`. Endings that are also country codes (py, rs, md, sh) are not here. */
const FILE_ENDINGS = new Set(
  'png jpg jpeg gif svg webp avif ico bmp js jsx ts tsx mjs cjs css scss json yaml yml xml html htm txt pdf csv log'.split(
    ' ',
  ),
)

/** The address around the at sign at [at, afterAt). */
export function findEmail(window: TextWindow, at: number, afterAt: number): Match | null {
  const start = localStart(window.text, at, window.floor)
  window.candidate = start
  if (start === at || !mayBeginAddress(window, start)) return null
  const end = window.at(afterAt) === 0x5b ? addressLiteralEnd(window, afterAt) : domainEnd(window, afterAt)
  if (end < 0 || isRepositoryPath(window, start, at, end)) return null
  // Markdown emphasis: `_jane@example.com_`
  const emphasised = window.text.charCodeAt(start) === 0x5f && window.at(end) === 0x5f
  return { type: 'email', start: emphasised ? start + 1 : start, end }
}

/** Where a local part that ends at `end` begins; `end` when there is none. */
function localStart(text: string, end: number, floor: number): number {
  let start = localRun(text, end, floor)
  // `\njane@`: the n belongs to the escape.
  if (start > 0 && text.charCodeAt(start - 1) === 0x5c && /[bfnrt]/.test(text.charAt(start))) start++
  for (let i = end - 1; i > start; i--) {
    const code = text.charCodeAt(i)
    if (code < 0x80 && kindOf(code) & LETTER && isIdeographic(text.charCodeAt(i - 1))) {
      start = i
      break
    }
  }
  while (start < end && !isAlphanumeric(text.charCodeAt(start)) && text.charCodeAt(start) !== 0x5f) start++
  let names = start
  while (names < end && text.charCodeAt(names) === 0x5f) names++
  return names === end ? end : start
}

/** Back over everything a local part is made of, escapes included. */
export function localRun(text: string, end: number, floor: number): number {
  const limit = Math.max(floor, end - LOCAL_MAX)
  let start = end
  while (start > limit) {
    const escaped = escapeBefore(text, start)
    const kind = kindOf(escaped > 0 ? escapedCode : text.charCodeAt(start - 1))
    const length = escaped || 1
    if (!(kind & (LOCAL | IGNORED)) || start - length < limit) break
    start -= length
  }
  return start
}

/** How long the escape is that ends at a position and stands for a plain character (`escapedCode`); 0 when there is none. */
function escapeBefore(text: string, end: number): number {
  const last = text.charCodeAt(end - 1)
  if (last === 0x3b) {
    for (let start = end - 2; start >= 0 && end - start <= ENTITY_MAX + 2; start--) {
      if (text.charCodeAt(start) !== 0x26) continue
      escapedCode = entityCode(text, start + 1, end - 1)
      return escapedCode === END ? 0 : end - start
    }
    return 0
  }
  if (hexValue(last) < 0) return 0
  const length = text.charCodeAt(end - 3) === 0x25 ? 3 : isJsonEscape(text, end - 6) ? 6 : 0
  escapedCode = hexValue(text.charCodeAt(end - 2)) * 16 + hexValue(last)
  return length > 0 && escapedCode > 0x1f && escapedCode < 0x7f ? length : 0
}

/** What `escapeBefore` saw. */
let escapedCode = END

/** `\u00` begins here. */
function isJsonEscape(text: string, start: number): boolean {
  return text.charCodeAt(start) === 0x5c && text.startsWith('u00', start + 1)
}

/** A second at sign or a URL before it: a typo, a handle, or the user of a URL. */
function mayBeginAddress(window: TextWindow, start: number): boolean {
  const before = window.before(start)
  if (before === 0x40) return false
  return !(before === 0x2f && window.before(start - 1) === 0x2f && window.before(start - 2) === 0x3a)
}

/** `git@github.com:owner/name.git` */
function isRepositoryPath(window: TextWindow, start: number, at: number, end: number): boolean {
  if (at - start > 3 || !/^(?:git|hg|svn)$/i.test(window.text.slice(start, at))) return false
  const next = window.at(end)
  return next === 0x3a || next === 0x2f
}

/** The end of a domain of two labels or more that ends in a name, or -1. */
export function domainEnd(window: TextWindow, begin: number): number {
  let end = -1
  let labels = 0
  let label = ''
  let position = begin
  while (position - begin < DOMAIN_MAX) {
    const next = window.read(position)
    const code = window.code
    if (code === 0x2e) {
      if (!isLabel(label)) return end
      if (++labels > 1 && isTopLevel(label)) end = position
      label = ''
    } else if (isDomainCharacter(code) && !(isIdeographic(code) && isPlainName(label))) {
      label += String.fromCharCode(code)
    } else {
      break
    }
    position = next
  }
  // `jane@example[dot]com`
  if (label !== '' && end < 0 && labels === 0) return spelledDomainEnd(window, begin)
  return labels > 0 && isLabel(label) && isTopLevel(label) ? position : end
}

function isDomainCharacter(code: number): boolean {
  return code === 0x2d || isAlphanumeric(code)
}

function isPlainName(label: string): boolean {
  return label !== '' && label.charCodeAt(label.length - 1) < 0x80
}

function isLabel(label: string): boolean {
  return label !== '' && !label.startsWith('-') && label.length <= 63
}

/** Could be a top-level domain: letters only, not the ending of a file. */
export function isTopLevel(label: string): boolean {
  if (label.startsWith('xn--')) return true
  if (label.length < 2 || label.length > 24) return false
  for (let i = 0; i < label.length; i++) {
    if (!(kindOf(label.charCodeAt(i)) & LETTER)) return false
  }
  return !FILE_ENDINGS.has(label.toLowerCase())
}

/** `jane@[192.0.2.1]` */
function addressLiteralEnd(window: TextWindow, bracket: number): number {
  let end = bracket + 1
  let dots = 0
  for (; end - bracket <= 16; end++) {
    const code = window.at(end)
    if (code === 0x5d) return dots === 3 ? end + 1 : -1
    if (code === 0x2e) dots++
    else if (!(kindOf(code) & DIGIT)) return -1
  }
  return -1
}

/** The domain of an address as found in a text, decoded and in lower case. */
export function emailDomain(address: string): string {
  const window = new TextWindow()
  window.text = address
  let decoded = ''
  for (let position = 0; position < address.length; ) {
    position = window.read(position)
    decoded += String.fromCharCode(window.code)
  }
  const spelled = decoded.replace(SPELLED_MARK, (mark) => (/dot|\./i.test(mark) ? '.' : '@'))
  return spelled.slice(spelled.lastIndexOf('@') + 1).toLowerCase()
}

const SPELLED_MARK = / ?[([{] ?(?:at|@|dot|\.) ?[)\]}] ?| (?:at|@|dot|\.) |_(?:at|dot)_/gi
