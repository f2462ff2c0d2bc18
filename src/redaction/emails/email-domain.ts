/** The part of an e-mail address after the at sign. */
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric, isBlank, isIdeographic } from '../text/characters.ts'
import { inlineTagEnd } from '../text/tags.ts'
import { TextWindow } from '../text/text-window.ts'
import { isTopLevelDomain, leadingTopLevelDomain } from './top-level-domain.ts'

/**
 * Maximum length of a domain, in raw characters. With MAX_LOCAL this keeps the part that a stream holds back under 320.
 */
const MAX_DOMAIN = 200
/** Maximum length of a domain with spelled dots. */
const MAX_SPELLED = 120

/** Returns the end of a domain of two or more labels that ends in a name, or -1. */
export function domainEnd(window: TextWindow, begin: number): number {
  let end = -1
  let labels = 0
  let start = begin
  /** The label that is read, decoded. */
  let label = ''
  let labelEnd = begin
  let position = begin
  while (position - begin < MAX_DOMAIN) {
    const tag = label === '' && labels === 0 ? -1 : inlineTagEnd(window, position)
    if (tag > 0) {
      // What follows may be another word.
      if (labels > 0 && label !== '') end = Math.max(end, topLevelEnd(window, start, labelEnd, label))
      position = tag
      continue
    }
    const next = window.read(position)
    const code = window.code
    if (code === ascii.DOT || (isIdeographicStop(code) && labels === 0)) {
      if (label === '') return end
      if (++labels > 1) end = Math.max(end, topLevelEnd(window, start, position, label))
      start = next
      label = ''
    } else if (code === ascii.HYPHEN ? label !== '' : isAlphanumeric(code)) {
      // `mail@example.com谢谢`: another script begins another word.
      if (isIdeographic(code) && labels > 0 && label !== '' && label.charCodeAt(label.length - 1) < ascii.END) break
      label += String.fromCharCode(code)
      labelEnd = next
    } else {
      break
    }
    position = next
  }
  if (label === '' && labels > 0 && end < 0) return brokenEnd(window, position)
  // `jane@example[dot]com`
  if (labels === 0) return label !== '' && mayBeginDot(window.at(position)) ? spelledDomainEnd(window, begin) : -1
  return label === '' ? end : Math.max(end, topLevelEnd(window, start, labelEnd, label))
}

/** Returns the end of a top-level domain in the next line, as a long address is wrapped after a dot; or -1. */
function brokenEnd(window: TextWindow, position: number): number {
  let start = position
  for (
    let breaks = 0;
    breaks < MAX_BREAK && (isBreak(window, start) || (breaks > 0 && isBlank(window.at(start))));
    breaks++
  )
    start += window.at(start) === ascii.BACKSLASH ? 2 : 1
  if (start === position) return -1
  let end = start
  while (end - start < MAX_WRAPPED && isLowerCase(window.at(end))) end++
  return !isLabelCharacter(window.at(end)) && isTopLevelDomain(window.text.slice(start, end)) ? end : -1
}

/** `\r`, `\n`, as themselves or as JSON has them. */
function isBreak(window: TextWindow, position: number): boolean {
  const code = window.at(position)
  if (code !== ascii.BACKSLASH) return code === ascii.LINE_FEED || code === ascii.CARRIAGE_RETURN
  const letter = window.at(position + 1)
  return letter === ascii.LOWER_N || letter === ascii.LOWER_R
}

const isLowerCase = (code: number): boolean => code >= ascii.LOWER_A && code <= ascii.LOWER_Z

/** Characters of a line break and of the indent after it. */
const MAX_BREAK = 12
/** Longest top-level domain in the next line. */
const MAX_WRAPPED = 12

/**
 * Returns the end of the top-level domain that begins at `start`, or -1. A hyphen in `label`, or a word that is glued to
 * it, belongs to the sentence.
 */
function topLevelEnd(window: TextWindow, start: number, end: number, label: string): number {
  if (isTopLevelDomain(label)) return end
  const hyphen = label.indexOf('-')
  const word = hyphen > 0 ? label.slice(0, hyphen) : label
  const length = hyphen > 0 && isTopLevelDomain(word) ? hyphen : leadingTopLevelDomain(word)
  if (length === 0) return -1
  let position = start
  for (let count = 0; count < length; count++) position = window.read(position)
  return position
}

/** May separate the labels of a domain; after a domain it ends the sentence. */
function isIdeographicStop(code: number): boolean {
  return code === 0x3002 || code === 0xff61
}

/** Returns the end of labels joined by dots, spelled or not, that end in a top-level domain; or -1. */
export function spelledDomainEnd(window: TextWindow, begin: number): number {
  let end = -1
  let position = begin
  for (let labels = 1; position - begin < MAX_SPELLED; labels++) {
    const start = position
    while (position - begin < MAX_SPELLED && isLabelCharacter(window.at(position))) position++
    if (position === start) return end
    if (labels > 1 && isTopLevelDomain(window.text.slice(start, position))) end = position
    position = dotEnd(window, position)
    if (position < 0) return end
  }
  return end
}

function isLabelCharacter(code: number): boolean {
  return code < ascii.END && (isAlphanumeric(code) || code === ascii.HYPHEN)
}

/** The characters that `dotEnd` can continue from. */
function mayBeginDot(code: number): boolean {
  return code === ascii.SPACE || code === ascii.DOT || code === ascii.UNDERSCORE || isOpening(code)
}

/** Returns the end of a dot, spelled or not, or -1. */
function dotEnd(window: TextWindow, start: number): number {
  const first = window.at(start)
  if (first === ascii.DOT) return start + 1
  if (first === ascii.UNDERSCORE) return wordEnd(window, start + 1, 'dot_')
  const opening = first === ascii.SPACE ? start + 1 : start
  if (isOpening(window.at(opening))) {
    const inner = window.at(opening + 1) === ascii.SPACE ? opening + 2 : opening + 1
    const after = window.at(inner) === ascii.DOT ? inner + 1 : wordEnd(window, inner, 'dot')
    if (after < 0) return -1
    const close = window.at(after) === ascii.SPACE ? after + 1 : after
    if (!isClosing(window.at(close))) return -1
    return window.at(close + 1) === ascii.SPACE ? close + 2 : close + 1
  }
  if (first !== ascii.SPACE) return -1
  return window.at(opening) === ascii.DOT
    ? window.at(opening + 1) === ascii.SPACE
      ? opening + 2
      : -1
    : wordEnd(window, opening, 'dot ')
}

function wordEnd(window: TextWindow, start: number, word: string): number {
  for (let i = 0; i < word.length; i++) {
    const expected = word.charCodeAt(i)
    const code = window.at(start + i)
    if (code !== expected && (expected < ascii.LOWER_A || (code | ascii.LOWER_CASE) !== expected)) return -1
  }
  return start + word.length
}

export const isOpening = ascii.oneOf('([{<')

export const isClosing = ascii.oneOf(')]}>')

/** Returns the domain of an address found in a text, decoded and in lower case. */
export const emailDomain = (found: string): string => domainOf(emailAddress(found))

export const domainOf = (address: string): string => address.slice(address.lastIndexOf('@') + 1)

/** Returns an address found in a text, decoded and in lower case. */
export function emailAddress(address: string): string {
  const window = new TextWindow()
  window.text = address
  return addressAt(window, 0, address.length)
}

/** The same for an address in a window, which stays as it is. */
export function addressAt(window: TextWindow, start: number, end: number): string {
  let decoded = ''
  for (let position = start; position < end; ) {
    position = window.read(position)
    decoded += String.fromCharCode(window.code)
  }
  return decoded.replace(SPELLED_MARK, (mark) => (/dot|\./i.test(mark) ? '.' : '@')).toLowerCase()
}

const SPELLED_MARK = / ?[([{<] ?(?:at|@|dot|\.) ?[)\]}>] ?| (?:at|@|dot|\.) |_(?:at|dot)_/gi
