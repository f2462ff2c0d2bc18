/** Codes of the ASCII characters that code compares. */

export const BACKSPACE = 0x08
export const TAB = 0x09
export const LINE_FEED = 0x0a
export const CARRIAGE_RETURN = 0x0d
export const ESCAPE = 0x1b
export const SPACE = 0x20
export const QUOTE = 0x22
export const HASH = 0x23
export const DOLLAR = 0x24
export const PERCENT = 0x25
export const AMPERSAND = 0x26
export const APOSTROPHE = 0x27
export const OPEN_PARENTHESIS = 0x28
export const CLOSE_PARENTHESIS = 0x29
export const PLUS = 0x2b
export const COMMA = 0x2c
export const HYPHEN = 0x2d
export const DOT = 0x2e
export const SLASH = 0x2f
export const ZERO = 0x30
export const ONE = 0x31
export const TWO = 0x32
export const THREE = 0x33
export const FOUR = 0x34
export const FIVE = 0x35
export const NINE = 0x39
export const COLON = 0x3a
export const SEMICOLON = 0x3b
export const LESS_THAN = 0x3c
export const EQUALS = 0x3d
export const GREATER_THAN = 0x3e
export const QUESTION_MARK = 0x3f
export const AT = 0x40
export const UPPER_A = 0x41
export const UPPER_B = 0x42
export const UPPER_M = 0x4d
export const UPPER_O = 0x4f
export const UPPER_Q = 0x51
export const UPPER_Z = 0x5a
export const OPEN_BRACKET = 0x5b
export const BACKSLASH = 0x5c
export const CLOSE_BRACKET = 0x5d
export const UNDERSCORE = 0x5f
export const BACKTICK = 0x60
export const LOWER_A = 0x61
export const LOWER_B = 0x62
export const LOWER_F = 0x66
export const LOWER_M = 0x6d
export const LOWER_N = 0x6e
export const LOWER_P = 0x70
export const LOWER_R = 0x72
export const LOWER_U = 0x75
export const LOWER_X = 0x78
export const LOWER_Z = 0x7a
export const OPEN_BRACE = 0x7b
export const BAR = 0x7c
export const CLOSE_BRACE = 0x7d
export const TILDE = 0x7e
export const DELETE = 0x7f
/** The first code that is no ASCII. */
export const END = 0x80
/** Set in lower-case letters, and the only difference from the capital. */
export const LOWER_CASE = 0x20

/** A test for some ASCII characters. It is a lookup, as fast as one comparison. */
export function oneOf(characters: string): (code: number) => boolean {
  const table = new Uint8Array(END)
  for (const character of characters) table[character.charCodeAt(0)] = 1
  return (code) => code < END && table[code] === 1
}
