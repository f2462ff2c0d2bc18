/** The kinds of each UTF-16 code unit, as one table: a lookup costs a nanosecond, a regex fifty. */
import * as ascii from '../../core/ascii.ts'

export const DIGIT = 1
/** Letters of any script. */
export const LETTER = 2
/** Allowed in the local part of an e-mail address in practice; quoted and exotic forms are omitted. */
export const LOCAL = 4
/** Allowed in an address, a secret or an escape of either: a stream holds these back at its end. */
export const RUN = 8
/**
 * Invisible: zero-width characters, soft hyphens, characters that are no text. They split data for a pattern, not for a
 * reader.
 */
export const IGNORED = 16
/** ASCII that always stands for itself: it begins no escape. */
export const LITERAL = 32
/** This many in a row are skipped. The bound keeps the held-back text short. */
export const MAX_INVISIBLE = 8

const KINDS = new Uint8Array(65_536)

export function kindOf(code: number): number {
  // The index is a code unit, so it is always in the table.
  return KINDS[code] as number
}

/** Scripts written without spaces: a word may begin or end next to one of their letters. */
export function isIdeographic(code: number): boolean {
  return code >= 0x2e80 && code < 0xff00
}

/** A letter that glues a number to a word: `X219-09-9998` is a model, `电话415-555-0132` is a phone number. */
export function isGluing(code: number): boolean {
  return (kindOf(code) & LETTER) !== 0 && !isIdeographic(code)
}

export function isCapital(code: number): boolean {
  return code >= ascii.UPPER_A && code <= ascii.UPPER_Z
}

export function isAsciiDigit(code: number): boolean {
  return code >= ascii.ZERO && code <= ascii.NINE
}

export function isAsciiLetter(code: number): boolean {
  return isCapital(code & ~ascii.LOWER_CASE)
}

/** A space or tab. */
export function isBlank(code: number): boolean {
  return code === ascii.SPACE || code === ascii.TAB
}

/** A letter or digit that glues an adjacent number to a word. */
export function isWordCharacter(code: number): boolean {
  return (kindOf(code) & DIGIT) !== 0 || isGluing(code)
}

export function isAlphanumeric(code: number): boolean {
  return (kindOf(code) & (LETTER | DIGIT)) !== 0
}

/**
 * Returns the ASCII character that a lookalike stands for: full-width forms, hyphens, the one dot leader, exotic
 * spaces. En and em dashes stand for themselves: they separate words, where a hyphen joins them.
 */
export function plain(code: number): number {
  if (code < ascii.END) return code === ascii.TAB ? ascii.SPACE : code
  if (code >= 0xff01 && code <= 0xff5e) return code - 0xfee0
  if (code === 0x2010 || code === 0x2011 || code === 0x2212 || code === 0xfe63) return ascii.HYPHEN
  if (code === 0xa0 || code === 0x3000 || code === 0x202f || (code >= 0x2000 && code <= 0x200a)) return ascii.SPACE
  if (code === 0x2800) return ascii.SPACE
  if (code === 0x2024) return ascii.DOT
  return code === 0xfe6b ? ascii.AT : code
}

/** Figure dash, en dash, em dash and horizontal bar. */
export function isDash(code: number): boolean {
  return code >= 0x2012 && code <= 0x2015
}

function mark(kind: number, first: number, last = first): void {
  for (let code = first; code <= last; code++) KINDS[code] = (KINDS[code] as number) | kind
}

function markEach(kind: number, characters: string): void {
  for (const character of characters) mark(kind, character.charCodeAt(0))
}

mark(DIGIT | LOCAL | RUN, ascii.ZERO, ascii.NINE)
mark(DIGIT | LOCAL | RUN, 0xff10, 0xff19)
mark(LETTER | LOCAL | RUN, ascii.UPPER_A, ascii.UPPER_Z)
mark(LETTER | LOCAL | RUN, ascii.LOWER_A, ascii.LOWER_Z)
// Beyond ASCII: everything except the blocks of punctuation, symbols, surrogates (emoji) and private use.
mark(LETTER | LOCAL | RUN, 0xc0, 0xd6)
mark(LETTER | LOCAL | RUN, 0xd8, 0xf6)
mark(LETTER | LOCAL | RUN, 0xf8, 0x1fff)
mark(LETTER | LOCAL | RUN, 0x2e80, 0x2fff)
mark(LETTER | LOCAL | RUN, 0x3021, 0xd7ff)
mark(LETTER | LOCAL | RUN, 0xf900, 0xfe0f)
mark(LETTER | LOCAL | RUN, 0xfe70, 0xfefe)
mark(LETTER | LOCAL | RUN, 0xff21, 0xff3a)
mark(LETTER | LOCAL | RUN, 0xff41, 0xff5a)
mark(LETTER | LOCAL | RUN, 0xff66, 0xffdc)
markEach(LOCAL | RUN, "._%+-'\uff0e\uff3f\uff0d\uff0b\u2024")
// Arabic-Indic digits; like full-width ones their last four bits are their value.
for (const zero of [0x660, 0x6f0]) for (let code = zero; code < zero + 10; code++) KINDS[code] = DIGIT | LOCAL | RUN
markEach(RUN, '\\&#;~={}')
// NUL is invisible as well, but also stands for the end of a text.
mark(RUN, 0)
mark(LITERAL, ascii.SPACE, ascii.TILDE)
for (const begin of '%\\&=') KINDS[begin.charCodeAt(0)] = kindOf(begin.charCodeAt(0)) & ~LITERAL
/**
 * Besides the well-known ones: joiners, direction marks, invisible operators, variation selectors, a backspace, the
 * beginning of a color sequence, a decoder's replacement for bytes that are no character.
 */
const INVISIBLE: [first: number, last: number][] = [
  [ascii.BACKSPACE, ascii.BACKSPACE],
  [ascii.ESCAPE, ascii.ESCAPE],
  [0xad, 0xad],
  [0x34f, 0x34f],
  [0x61c, 0x61c],
  [0x180b, 0x180e],
  [0x200b, 0x200f],
  [0x202a, 0x202e],
  [0x2060, 0x206f],
  [0xfe00, 0xfe0f],
  [0xfeff, 0xfeff],
  [0xfffd, 0xfffd],
  // Tags (U+E0000 to U+E007F) as two code units. Emoji have such a second unit too, but another first one.
  [0xdb40, 0xdb40],
  [0xdc00, 0xdc7f],
]
for (const [first, last] of INVISIBLE) for (let code = first; code <= last; code++) KINDS[code] = IGNORED | RUN
