/**
 * E-mail addresses, found from their at sign: back over the local part, forward over the domain. Also written with
 * escapes (`jane%40example.com`), invisible characters, or words (`jane [at] example [dot] com`).
 */
import { DIGIT, IGNORED, isAlphanumeric, isIdeographic, kindOf, LETTER, LOCAL, plain } from './characters.ts'
import type { Match } from './match.ts'
import { END, entityCode, hexValue, type TextWindow } from './text-window.ts'

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
    const encoded = escapeBefore(text, start)
    const length = encoded?.length ?? 1
    const kind = kindOf(encoded ? encoded.code : text.charCodeAt(start - 1))
    if (!(kind & (LOCAL | IGNORED)) || start - length < limit) break
    start -= length
  }
  return start
}

/** The escape that ends at a position, when it stands for a plain character. */
function escapeBefore(text: string, end: number): { code: number; length: number } | null {
  const last = text.charCodeAt(end - 1)
  if (last === 0x3b) {
    const begin = text.lastIndexOf('&', end - 1)
    const length = end - begin
    const code = begin >= 0 && length <= 9 ? entityCode(text.slice(begin + 1, end - 1)) : END
    return code ? { code, length } : null
  }
  if (hexValue(last) < 0) return null
  if (text.charCodeAt(end - 3) === 0x25) return decoded(text.slice(end - 2, end), 3)
  if (text.charCodeAt(end - 6) === 0x5c && text.charCodeAt(end - 5) === 0x75)
    return decoded(text.slice(end - 4, end), 6)
  return null
}

function decoded(hex: string, length: number): { code: number; length: number } | null {
  const code = /^[\da-f]+$/i.test(hex) ? Number.parseInt(hex, 16) : END
  return code > 0x1f && code < 0x7f ? { code, length } : null
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
  const text = address
    .replace(/%([2-7][\da-f])|\\u00([2-7][\da-f])/gi, (_, percent?: string, json?: string) =>
      String.fromCharCode(Number.parseInt(percent ?? json ?? '', 16)),
    )
    .replace(/&(#?\w+);/g, (entity, name: string) => String.fromCharCode(entityCode(name) || entity.charCodeAt(0)))
  let plainText = ''
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (!(kindOf(code) & IGNORED)) plainText += String.fromCharCode(plain(code))
  }
  return plainText.slice(plainText.lastIndexOf('@') + 1).toLowerCase()
}
