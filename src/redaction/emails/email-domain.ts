/** The part of an e-mail address after the at sign. */
import { isAlphanumeric, isIdeographic, kindOf, LETTER } from '../text/characters.ts'
import { TextWindow } from '../text/text-window.ts'

/** Maximum length of a domain, in raw characters. With MAX_LOCAL this keeps what a stream holds back under 320. */
const MAX_DOMAIN = 200
/** Maximum length of a domain with spelled dots. */
const MAX_SPELLED = 120

/** Endings that look like a domain, as in `image@2x.png`. Country codes (py, rs, md, sh) are omitted. */
const FILE_ENDINGS = new Set(
  'png jpg jpeg gif svg webp avif ico bmp js jsx ts tsx mjs cjs css scss json yaml yml xml html htm txt pdf csv log'.split(
    ' ',
  ),
)

/** Returns the end of a domain of two or more labels that ends in a name, or -1. */
export function domainEnd(window: TextWindow, begin: number): number {
  let end = -1
  let labels = 0
  let label = begin
  let length = 0
  let onlyLetters = true
  let previous = 0
  let position = begin
  /** The first hyphen in the label. In the last label it belongs to the sentence: no top-level domain has one. */
  let hyphen = 0
  while (position - begin < MAX_DOMAIN) {
    const next = window.read(position)
    const code = window.code
    if (code === 0x2e || (isIdeographicStop(code) && labels === 0)) {
      if (length === 0) return end
      if (++labels > 1 && isTopLevel(window.text, label, position, onlyLetters)) end = position
      label = next
      length = 0
      hyphen = 0
      onlyLetters = true
    } else if (code === 0x2d ? length > 0 : isAlphanumeric(code)) {
      // `mail@example.com谢谢`: another script begins another word.
      if (isIdeographic(code) && labels > 0 && length > 0 && previous < 0x80) break
      if (code === 0x2d && hyphen === 0) hyphen = position
      if (hyphen === 0) onlyLetters &&= (kindOf(code) & LETTER) !== 0
      length++
      previous = code
    } else {
      break
    }
    position = next
  }
  // `jane@example[dot]com`
  if (labels === 0) return length > 0 && mayBeginDot(window.at(position)) ? spelledDomainEnd(window, begin) : -1
  const last = hyphen > 0 && !window.text.startsWith('xn--', label) ? hyphen : position
  return length > 0 && isTopLevel(window.text, label, last, onlyLetters) ? last : end
}

/** May separate the labels of a domain; after a domain it ends the sentence. */
function isIdeographicStop(code: number): boolean {
  return code === 0x3002 || code === 0xff61
}

/** Whether the label at [start, end) could be a top-level domain: letters only, not a file extension. */
function isTopLevel(text: string, start: number, end: number, onlyLetters: boolean): boolean {
  if (!onlyLetters) return text.startsWith('xn--', start)
  const length = end - start
  return length > 1 && length < 25 && !(length < 5 && FILE_ENDINGS.has(text.slice(start, end).toLowerCase()))
}

/** Returns the end of labels joined by dots, spelled or not, that end in a top-level domain; or -1. */
export function spelledDomainEnd(window: TextWindow, begin: number): number {
  let end = -1
  let position = begin
  for (let labels = 1; position - begin < MAX_SPELLED; labels++) {
    const start = position
    let onlyLetters = true
    for (; position - begin < MAX_SPELLED; position++) {
      const code = window.at(position)
      if (!isLabelCharacter(code)) break
      onlyLetters &&= (kindOf(code) & LETTER) !== 0
    }
    if (position === start) return end
    if (labels > 1 && isTopLevel(window.text, start, position, onlyLetters)) end = position
    position = dotEnd(window, position)
    if (position < 0) return end
  }
  return end
}

function isLabelCharacter(code: number): boolean {
  return code < 0x80 && (isAlphanumeric(code) || code === 0x2d)
}

/** The characters that `dotEnd` can continue from. */
function mayBeginDot(code: number): boolean {
  return code === 0x20 || code === 0x2e || code === 0x5f || isOpening(code)
}

/** Returns the end of a dot, spelled or not, or -1. */
function dotEnd(window: TextWindow, start: number): number {
  const first = window.at(start)
  if (first === 0x2e) return start + 1
  if (first === 0x5f) return wordEnd(window, start + 1, 'dot_')
  const opening = first === 0x20 ? start + 1 : start
  if (isOpening(window.at(opening))) {
    const inner = window.at(opening + 1) === 0x20 ? opening + 2 : opening + 1
    const after = window.at(inner) === 0x2e ? inner + 1 : wordEnd(window, inner, 'dot')
    if (after < 0) return -1
    const close = window.at(after) === 0x20 ? after + 1 : after
    if (!isClosing(window.at(close))) return -1
    return window.at(close + 1) === 0x20 ? close + 2 : close + 1
  }
  if (first !== 0x20) return -1
  return window.at(opening) === 0x2e
    ? window.at(opening + 1) === 0x20
      ? opening + 2
      : -1
    : wordEnd(window, opening, 'dot ')
}

function wordEnd(window: TextWindow, start: number, word: string): number {
  for (let i = 0; i < word.length; i++) {
    const expected = word.charCodeAt(i)
    const code = window.at(start + i)
    if (code !== expected && (expected < 0x61 || (code | 0x20) !== expected)) return -1
  }
  return start + word.length
}

export function isOpening(code: number): boolean {
  return code === 0x28 || code === 0x5b || code === 0x7b || code === 0x3c
}

export function isClosing(code: number): boolean {
  return code === 0x29 || code === 0x5d || code === 0x7d || code === 0x3e
}

/** Returns the domain of an address found in a text, decoded and in lower case. */
export function emailDomain(address: string): string {
  const plain = emailAddress(address)
  return plain.slice(plain.lastIndexOf('@') + 1)
}

/** Returns an address found in a text, decoded and in lower case. */
export function emailAddress(address: string): string {
  const window = new TextWindow()
  window.text = address
  let decoded = ''
  for (let position = 0; position < address.length; ) {
    position = window.read(position)
    decoded += String.fromCharCode(window.code)
  }
  return decoded.replace(SPELLED_MARK, (mark) => (/dot|\./i.test(mark) ? '.' : '@')).toLowerCase()
}

const SPELLED_MARK = / ?[([{<] ?(?:at|@|dot|\.) ?[)\]}>] ?| (?:at|@|dot|\.) |_(?:at|dot)_/gi
