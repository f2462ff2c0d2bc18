/**
 * Secrets known by the name they are assigned to: `DB_PASSWORD=…`, `"password": "…"`, `Authorization: Basic …`,
 * `<token>…</token>`, `--api-key …`, `curl -u user:…`. The name alone proves little (`token: string`), so the value
 * must look like a secret too (`secret-value.ts`).
 */
import * as ascii from '../../core/ascii.ts'
import { DIGIT, isAlphanumeric, isBlank, kindOf } from '../text/characters.ts'
import { escapeBefore } from '../text/escapes.ts'
import type { TextWindow } from '../text/text-window.ts'
import { belongs, type SecretMatch } from './secret.ts'
import { secretKind } from './secret-name.ts'
import { valueEnd } from './secret-tail.ts'
import { isSecretValue, type ValueKind } from './secret-value.ts'

/** Maximum length of a value; longer ones are judged by this much. */
const MAX_VALUE = 100
const MAX_NAME = 64
/** Maximum blanks on either side of the assignment sign. */
const MAX_BLANKS = 24
/** Lines of an element: `<token>\n    value\n</token>`. */
const MAX_INDENT = 40

/** Finds the secret after the assignment sign (`=`, `:`, `>`, `,`) at `sign`. */
export function findNamedSecret(window: TextWindow, sign: number): SecretMatch | null {
  const name = nameBefore(window, sign)
  const kind = name === '' ? null : (secretKind(name) ?? (IS_VALUE.test(name) ? pairedKind(window, sign) : null))
  if (kind === null) return null
  window.candidate = sign
  const next = window.at(sign + 1)
  // `:=`, `==`, `=>`: the last sign counts.
  if (next === ascii.COLON || next === ascii.EQUALS || next === ascii.GREATER_THAN) return null
  const isElement =
    window.text.charCodeAt(sign) === ascii.GREATER_THAN &&
    window.before(sign) !== ascii.EQUALS &&
    window.before(sign) !== ascii.HYPHEN
  const isLiteral = isElement || (window.before(sign) !== ascii.SPACE && /^[A-Z\d_]+$/.test(name))
  return valueAt(window, skipBlanks(window, sign + 1, isElement), { kind, isLiteral })
}

const mayPrecedeFlag = ascii.oneOf(' \n"\'')

/** Finds the secret after a flag whose first hyphen is at `hyphen`: `--token …`, or `-u user:…` of curl. */
export function findFlagSecret(window: TextWindow, hyphen: number): SecretMatch | null {
  if (!mayPrecedeFlag(window.before(hyphen)) && hyphen > 0) return null
  window.candidate = hyphen
  const isLong = window.at(hyphen + 1) === ascii.HYPHEN
  const begin = isLong ? hyphen + 2 : hyphen + 1
  let end = begin
  while (end - begin < MAX_NAME && belongs(window.at(end), '-_')) end++
  if (end === begin || window.at(end) !== ascii.SPACE) return null
  const name = window.text.slice(begin, end)
  if (name === 'u' || name === 'user' || name === 'proxy-user') return findUserPassword(window, end + 1)
  const kind = isLong ? secretKind(name) : null
  return kind === null ? null : valueAt(window, skipBlanks(window, end, false), { kind, isLiteral: false })
}

/** `user:password`, whose password is the secret. Many programs have such a flag; only curl's may be a plain word. */
function findUserPassword(window: TextWindow, begin: number): SecretMatch | null {
  const quote = quoteAt(window, begin)
  const start = quote === 0 ? begin : begin + 1
  const end = valueEnd(window, start, quote || ascii.SPACE, start + MAX_VALUE)
  const colon = window.text.slice(start, end).indexOf(':')
  if (colon < 1 || window.text.startsWith('//', start + colon + 1)) return null
  // `-u unit.service","id":…`: the colon belongs to the JSON around it.
  if (NO_USER.test(window.text.slice(start, start + colon))) return null
  const password = window.text.slice(start + colon + 1, end)
  const isCurl = /(?:^|[\s;|&$`"'])curl\s/.test(
    window.text.slice(Math.max(0, window.candidate - 140), window.candidate),
  )
  const isPassword = isCurl
    ? password.length > 3 && !/^[$<{%]|\*{3}|^pass(?:word)?$|^x+$/i.test(password)
    : isSecretValue(password, { kind: 'token', isLiteral: true })
  const tail = end - start === MAX_VALUE ? { quote: quote || ascii.SPACE } : null
  return isPassword ? { type: 'secret', start: start + colon + 1, end, tail } : null
}

const NO_USER = /["'`,;{}[\]()<>]/

const IS_VALUE = /^val(?:ue)?$/i
/** `key="Password" value=`, `name: DB_PASSWORD\n  value:`, `{"name":"API_KEY","value":`. */
const PAIR = /(?:name|key|id|property)["']?\s*[=:]\s*["']?([\w.:-]{2,64})["']?[\s,;]+(?:-\s*)?["']?val(?:ue)?["']?\s*$/i

function pairedKind(window: TextWindow, sign: number): ValueKind['kind'] | null {
  const pair = PAIR.exec(window.text.slice(Math.max(0, sign - 140), sign))
  return pair ? secretKind(pair[1] as string) : null
}

/** Type words between a variable's name and the sign: `var token string = …`. */
const TYPES = new Set(['string', 'str', 'char', 'text', 'const', 'auto'])
/** Their first and last letters, and those of `value`: avoids most lookups. */
const ENDS_OF_WORDS = new Uint8Array(1024)
for (const word of [...TYPES, 'value', 'val']) ENDS_OF_WORDS[endsKey(word, 0, word.length)] = 1

function endsKey(text: string, start: number, end: number): number {
  return ((text.charCodeAt(start) & 31) << 5) | (text.charCodeAt(end - 1) & 31)
}

/** Returns the name before an assignment sign, '' without one. */
function nameBefore(window: TextWindow, sign: number): string {
  const { text, floor } = window
  const code = text.charCodeAt(sign)
  const previous = text.charCodeAt(sign - 1)
  let end = nameEnd(text, sign, floor)
  let { start, isPromising } = nameEndingAt(text, end, floor)
  if (
    code === ascii.GREATER_THAN &&
    previous !== ascii.EQUALS &&
    previous !== ascii.HYPHEN &&
    text.charCodeAt(start - 1) !== ascii.LESS_THAN
  )
    return ''
  if (!isPromising) {
    if (end - start < 3 || end - start > 6 || ENDS_OF_WORDS[endsKey(text, start, end)] === 0) return ''
    const word = text.slice(start, end).toLowerCase()
    if (IS_VALUE.test(word)) return word
    if (!TYPES.has(word)) return ''
    end = nameEnd(text, start, floor)
    const name = nameEndingAt(text, end, floor)
    if (!name.isPromising) return ''
    start = name.start
  }
  // `API key: …` is two words.
  if (end - start === 3 && text.charCodeAt(start - 1) === ascii.SPACE && /key/i.test(text.slice(start, end)))
    start = nameEndingAt(text, start - 1, floor).start
  return text.slice(start, end)
}

/** Goes back over the rest of the sign, blanks, and what closes a name: quotes, brackets, escapes of them. */
function nameEnd(text: string, from: number, floor: number): number {
  let end = from
  if (end > floor && NAME_CHARACTERS[text.charCodeAt(end - 1)] === LAST_OF_NAME) return end
  while (end > floor && from - end < 4 && isSign(text.charCodeAt(end - 1))) end--
  const signs = end
  while (end > floor && signs - end < MAX_BLANKS && isBlank(text.charCodeAt(end - 1))) end--
  for (let closing = 0; closing < 5 && end > floor; closing++) {
    const code = text.charCodeAt(end - 1)
    if (isAlphanumeric(code)) {
      const escaped = kindOf(code) & DIGIT ? escapeBefore(text, end) : null
      if (escaped?.code !== ascii.QUOTE && escaped?.code !== ascii.APOSTROPHE) break
      end -= escaped.length
    } else if (mayCloseName(code)) {
      end--
      // `secret[25] =`
      if (code === ascii.CLOSE_BRACKET)
        while (end > floor && signs - end < 8 && kindOf(text.charCodeAt(end - 1)) & DIGIT) end--
    } else break
  }
  return end
}

const mayCloseName = ascii.oneOf('[]"\'\\`*&: ')

interface Name {
  start: number
  /** It has a typical part of a secret's name. */
  isPromising: boolean
}

/** Returns the name that ends at a position. */
function nameEndingAt(text: string, end: number, floor: number): Name {
  const limit = Math.max(floor, end - MAX_NAME)
  let start = end
  let three = 0
  let isPromising = false
  for (; start > limit; start--) {
    const code = text.charCodeAt(start - 1)
    if (NAME_CHARACTERS[code] === 0) break
    three = ((three << 5) | (code & 31)) & 0x7fff
    if (PARTS[three] === 1) isPromising = true
  }
  return { start, isPromising }
}

/** A name may end in these; before a sign, a dot or hyphen belongs to the sign. */
const LAST_OF_NAME = 2
const NAME_CHARACTERS = new Uint8Array(65_536)
for (let code = 0; code < 128; code++)
  NAME_CHARACTERS[code] = belongs(code, '_-') ? LAST_OF_NAME : code === ascii.DOT ? 1 : 0
/** The beginnings of typical parts of secrets' names, read backwards, five bits per letter. */
const PARTS = new Uint8Array(0x8000)
for (const part of [
  'pas',
  'pwd',
  'psw',
  'sec',
  'tok',
  'key',
  'cre',
  'aut',
  'bea',
  'jwt',
  'ses',
  'sid',
  'pat',
  'pin',
  '_pw',
])
  PARTS[[...part].reduceRight((three, letter) => (three << 5) | (letter.charCodeAt(0) & 31), 0)] = 1

/** `:`, `=`, `!`, `?`, `+`, `.`, `|`, `<`, `>`, `~` as part of a sign like `:=`, `=>`, `!==`, `?=`. */
const isSign = ascii.oneOf(':=>!?+.')

function skipBlanks(window: TextWindow, from: number, lines: boolean): number {
  let position = from
  const limit = from + (lines ? MAX_INDENT : MAX_BLANKS)
  for (; position < limit; position++) {
    const code = window.at(position)
    if (!isBlank(code) && !(lines && (code === ascii.LINE_FEED || code === ascii.CARRIAGE_RETURN))) break
  }
  return position
}

/** Words before the actual value: `Authorization: Bearer …`. */
const SCHEME = /^(?:bearer|basic|token|apikey|digest|negotiate)$/i
const MAX_SCHEME = 9

function valueAt(window: TextWindow, begin: number, { kind, isLiteral }: ValueKind): SecretMatch | null {
  let start = begin
  // `@"…"`, `b'…'`, `\\"…\\"`
  const first = window.at(start)
  if (mayPrecedeQuote(first) && quoteAt(window, start + 1) !== 0) start++
  const quote = quoteAt(window, start)
  if (quote !== 0) start++
  let end = valueEnd(window, start, quote, start + MAX_VALUE)
  if (end - start <= MAX_SCHEME && window.at(end) === ascii.SPACE && SCHEME.test(window.text.slice(start, end))) {
    start = end + 1
    end = valueEnd(window, start, quote, start + MAX_VALUE)
  }
  const isOpen = end - start >= MAX_VALUE
  if (!isOpen && quote === 0) while (end > start && TRAILING.has(window.text.charCodeAt(end - 1))) end--
  const line = quote === 0 && !isOpen && window.at(end) > ascii.SPACE ? lineValueAt(window, start, kind) : null
  if (line || window.cut) return line
  const isWhole = isOpen || mayEnd(window, end, quote)
  if (isWhole && isSecretValue(window.text.slice(start, end), { kind, isLiteral: isLiteral || quote !== 0 }))
    return { type: 'secret', start, end, tail: isOpen ? { quote } : null }
  return null
}

/** `name = value` on a separate line, as in a settings file. */
const LINE = /(?:^|\n)[ \t]*(?:export |set |- )?["']?([\w.-]+)["']?[ \t]*[:=]+$/
/** A variable of the environment, whose value may contain anything. */
const VARIABLE = /^[A-Z][A-Z\d_]+$/
/** Code has fewer different punctuation marks in one expression. */
const MIN_MARKS = 8

/** Reads the value of a settings line, with marks that would end any other value. */
function lineValueAt(window: TextWindow, start: number, kind: ValueKind['kind']): SecretMatch | null {
  const sign = window.candidate
  const name = LINE.exec(window.text.slice(Math.max(0, sign - 120), sign + 1))?.[1]
  if (name === undefined) return null
  const end = valueEnd(window, start, ascii.QUOTE, start + MAX_VALUE)
  const next = window.at(end)
  if (
    end - start === MAX_VALUE ||
    (next !== 0 && next !== ascii.LINE_FEED && next !== ascii.CARRIAGE_RETURN && next !== ascii.QUOTE)
  )
    return null
  const value = window.text.slice(start, end)
  const isVariable = VARIABLE.test(name)
  if (!isVariable && new Set(value.replace(/[A-Za-z\d]/g, '')).size < MIN_MARKS) return null
  const isSecret = isSecretValue(value, isVariable ? { kind, isLiteral: true } : { kind: 'token', isLiteral: false })
  return isSecret ? { type: 'secret', start, end, tail: null } : null
}

/** Dots, colons and marks at the end of an unquoted value belong to the sentence. */
const TRAILING = new Set(['.', ':', ',', '*'].map((mark) => mark.charCodeAt(0)))

/** A quoted value ends at its quote, not in a sentence; an unquoted one is not a call, index or object. */
function mayEnd(window: TextWindow, end: number, quote: number): boolean {
  const next = window.at(end)
  return quote === 0
    ? !isOpening(next)
    : next === quote || next === ascii.BACKSLASH || next === ascii.LINE_FEED || next === 0
}

const mayPrecedeQuote = ascii.oneOf('@b\\')
const isOpening = ascii.oneOf('([{')

function quoteAt(window: TextWindow, position: number): number {
  const code = window.at(position)
  return code === ascii.QUOTE || code === ascii.APOSTROPHE || code === ascii.BACKTICK ? code : 0
}
