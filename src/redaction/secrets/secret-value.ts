/** Whether a text looks like a secret: not a placeholder of documentation, and random enough. */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, kindOf, LETTER } from '../text/characters.ts'

/** Placeholders in documentation for the body of a key. */
const PLACEHOLDER = /(.)\1{4}|x{4}|your|example|placeholder|_token|replace|dummy|here$/i

/** For the body of a key whose issuer is known by its prefix. */
export function isPlaceholder(body: string): boolean {
  const { digits, different } = shapeOf(body)
  if (different < 5 || digits === body.length || (digits === 0 && !/[A-Z]/.test(body))) return true
  return PLACEHOLDER.test(body) || (digits === 0 && isWords(body))
}

/** `requiredCharacteristicTypes`: letters only, in words by their capitals. */
function isWords(text: string): boolean {
  if (!/^[A-Za-z_-]+$/.test(text)) return false
  const words = text.match(/[A-Z]?[a-z]+|[A-Z]+/g) ?? []
  return text.length / words.length >= 4
}

/** How a value is written, and what its name indicates. */
export interface ValueKind {
  /** 'password': chosen by people. 'token': generated. 'weak': the name may mean something else. */
  kind: 'password' | 'token' | 'weak'
  /** In quotes, or where only a value can stand: not an expression of code. */
  isLiteral: boolean
}

const MIN_LENGTH = { password: 6, token: 10, weak: 20 } as const
/** Bits per character. */
const MIN_ENTROPY = { password: 2.2, token: 2.8, weak: 3.3 } as const
/** Changes between letters and digits that names of variables rarely have. */
const MIN_CHANGES = { password: 1, token: 2, weak: 4 } as const
/** The same for a value that could be an expression. */
const MIN_CHANGES_BARE = 3
/** The same for a value that could be a path of names. */
const MIN_CHANGES_PATH = 6
/** Code has fewer different punctuation marks in one word. */
const MIN_MARKS = 5
const MIN_MARKS_BARE = 8
/** A long hexadecimal value is real, even if its digits are a sequence. */
const LONG_HEX = /^[\da-f]{32,}$/i

/** Stand-ins for a password. */
const STAND_IN =
  /(.)\1{4}|x{4}|\*{3}|\.{3}|your|my[_-]?(?:pass|secret|token|key|api)|example|placeholder|replace|change.?me|insert|redacted|dummy|fake|sample|hidden|pass(?:word|wd|phrase)|secret|token|abcdef|12345|foobar|api.?key|\btodo\b|<.*>|^n\/a$/i
/** The same at the beginning of a value: most of them are, and the rest need not be read. */
const BEGINS_AS_STAND_IN =
  /^(?:your|my[_-]?(?:pass|secret|token|key|api)|example|pass(?:word|wd|phrase)|secret|token|api.?key)/i
/** Template placeholders. */
const TEMPLATE = /[$#]\{[\w.$()[\]'"]+\}|\{\{[\w. ]+\}\}|%\(\w+\)|%s/
/** Templates, variables, calls, paths, URLs, dates and numbers with units: values, but not secrets. */
const OTHER_VALUE =
  /^(?:[$%#@&]?[{[(<]|\$|%[\w(]|[.~]{0,2}\/(?!.*[+=])|[a-z][a-z\d+.-]*:\/\/|arn:|\d{4}-\d\d-\d\d|[\d.,:+-]+[a-z%]{0,3}$|v?\d+\.\d+|(?:os|process|env|config|settings|self|this|sha\d+-|data|urn)[.:])|[\])]$|\.(?:js|ts|py|json|ya?ml|txt|md|pem|crt|key|cer|p12|pub|html?|xml|env|com|org|net|io|local|internal)$/i
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i

/** Whether a value with the name of a secret is one. */
export function isSecretValue(value: string, { kind, isLiteral }: ValueKind): boolean {
  if (value.length < MIN_LENGTH[kind] || BEGINS_AS_STAND_IN.test(value)) return false
  const { changes, digits, letters, marks, isName } = shapeOf(value)
  const hasManyMarks = marks >= (isLiteral ? MIN_MARKS : MIN_MARKS_BARE)
  if (letters === 0 || (digits === 0 && !hasManyMarks)) return false
  if (OTHER_VALUE.test(value) || TEMPLATE.test(value)) return false
  if (LONG_HEX.test(value)) return entropy(value) >= MIN_ENTROPY.token
  if (UUID.test(value)) return kind === 'token'
  // Twitter's bearer tokens begin with this many.
  if (STAND_IN.test(value.replace(/^A{16,}/, '')) || entropy(value) < MIN_ENTROPY[kind]) return false
  const bare = isName && !isLiteral ? (value.includes('.') ? MIN_CHANGES_PATH : MIN_CHANGES_BARE) : 0
  return hasManyMarks || changes >= Math.max(bare, MIN_CHANGES[kind])
}

interface Shape {
  letters: number
  digits: number
  /** Number of adjacent pairs of a letter and a digit. */
  changes: number
  /** Number of different characters, and of those that are neither. */
  different: number
  marks: number
  /** It could be the name of a variable, or a path of names. */
  isName: boolean
}

/** The last value in which each character was seen: counts different characters without a set. */
const SEEN_IN = new Float64Array(65_536)
let values = 0

function shapeOf(value: string): Shape {
  values++
  let [letters, digits, changes, different, marks, before] = [0, 0, 0, 0, 0, 0]
  let isName = !(kindOf(value.charCodeAt(0)) & DIGIT)
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i)
    const kind = kindOf(code) & (LETTER | DIGIT)
    if (kind === DIGIT) digits++
    else if (kind === LETTER) letters++
    if ((kind | before) === (LETTER | DIGIT)) changes++
    before = kind
    if (SEEN_IN[code] === values) continue
    SEEN_IN[code] = values
    different++
    if (kind !== 0) continue
    marks++
    isName &&= isOfName(code, i)
  }
  return { letters, digits, changes, different, marks, isName }
}

/** `_` and `$` anywhere, a dot or hyphen after the first character. */
function isOfName(code: number, index: number): boolean {
  return (
    code === ascii.UNDERSCORE || code === ascii.DOLLAR || (index > 0 && (code === ascii.DOT || code === ascii.HYPHEN))
  )
}

/** Shannon entropy, in bits per character. */
function entropy(text: string): number {
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length)
  return bits
}
