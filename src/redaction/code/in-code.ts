/**
 * What counts in code: in the arguments of tools, and in fenced blocks. Examples are written there on purpose, so a
 * published example is not personal. In arguments, which programs read, the form of a number proves less than in a
 * sentence: it needs a word or the typical groups.
 */
import * as ascii from '../../core/ascii.ts'
import { addressAt, domainOf } from '../emails/email-domain.ts'
import { isNameInCode } from '../emails/user-at-host.ts'
import { KnownValues } from '../known/known-values.ts'
import { isCardNear } from '../numbers/credit-card.ts'
import { isPhoneNear } from '../phones/phone-words.ts'
import type { SecretMatch } from '../secrets/secret.ts'
import { isAlphanumeric } from '../text/characters.ts'
import { normalizeForCompare } from '../text/compare.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'
import { EXAMPLE_KEYS, isExampleIban, isTestCard } from './published.ts'

/** Whether a match in code is personal. Reads what follows, so it may be cut. */
export function countsInCode(window: TextWindow, match: Match): boolean {
  const { start, end } = match
  switch (match.type) {
    case 'email':
      return !isAddressOfNobody(addressAt(window, start, end)) && !isNameInCode(window, start, end)
    case 'credit_card':
      return !isTestCard(normalizeForCompare(window.text.slice(start, end)))
    case 'iban':
      return !isExampleIban(normalizeForCompare(window.text.slice(start, end)))
    case 'secret':
      return !isExampleKey(window, match as SecretMatch)
    default:
      return true
  }
}

/**
 * Whether a number among the arguments of a tool is what it has the form of: something confirms it besides its form.
 */
export function countsInArguments(window: TextWindow, match: Match): boolean {
  const { type, start, end } = match
  if (type !== 'phone' && type !== 'credit_card' && type !== 'ssn') return true
  const value = window.text.slice(start, end)
  if (type === 'phone' && !HAS_PLUS.test(value) && !isQuotedPhone(window, match) && !isPhoneNear(window, start))
    return false
  if (type === 'credit_card' && /^\d+$/.test(value) && !isCardNear(window, start)) return false
  return !isNamedOther(window, start)
}

const HAS_PLUS = /^\(?(?:\+|\uff0b|%2b|&#43;|&plus;|\\u002b)/i

/** RFC 2606 and 6761, and the accounts of programs at Google. */
const RESERVED = /(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost|gserviceaccount\.com)$/
const NO_REPLY = /(?:^|[-_.+])(?:no|do[-_.]?not)[-_.]?reply(?:$|[-_.+])/
/** Of programs that write commits. */
const BOT =
  /(?:^|[-_.+])(?:bot|github-actions?)$|^(?:aider@aider\.chat|cursoragent@cursor\.com|openhands@all-hands\.dev|(?:support|actions?)@github\.com)$/

function isAddressOfNobody(address: string): boolean {
  const domain = domainOf(address)
  const local = address.slice(0, -domain.length - 1)
  return RESERVED.test(domain) || NO_REPLY.test(local) || NO_REPLY.test(domain) || BOT.test(local) || BOT.test(address)
}

/** A text of its own, in quotes, with codes that exist: no range or version is written like that. */
function isQuotedPhone(window: TextWindow, { start, end }: Match): boolean {
  const [before, after] = [window.before(start), window.at(end)]
  if (!isQuote(before) || (after !== before && after !== ascii.BACKSLASH)) return false
  return /^1?[2-9]\d\d[2-9]\d{6}$/.test(normalizeForCompare(window.text.slice(start, end)))
}

const isQuote = ascii.oneOf('"\'')

const MAX_KEY = 64
/** The name that a number is assigned to. */
const KEY = /(?<![\w.-])([a-z_][\w.-]*)\\*["'\]]?\s*(?:=>|:=|[:=])\s*\\*["']?\(?$/i
/** The last word of a name that describes a number. */
const OTHER =
  /(?:^|[_.-])(?:ids?|uuid|guid|oid|pid|trace|span|ref|reference|order|invoice|transaction|txn|receipt|nonce|seed|hash|digest|checksum|version|build|revision|rev|serial|sku|isbn|model|population|count|counts|sum|total|size|length|width|height|offset|position|index|idx|seq|sequence|row|rows|line|lines|range|page|port|time|timestamp|ts|date|ttl|lifetime|duration|timeout|ns|nanos|ms|millis|us|micros|bytes|price|amount|balance|cost|score|rank)$/

/** Whether the name that a number is assigned to marks it as something else. */
function isNamedOther(window: TextWindow, start: number): boolean {
  const name = KEY.exec(window.text.slice(Math.max(0, start - MAX_KEY), start))?.[1]
  return name !== undefined && OTHER.test(name.replace(/([a-z\d])([A-Z])/g, '$1_$2').toLowerCase())
}

const EXAMPLES = KnownValues.of(EXAMPLE_KEYS.map((value) => ({ value })))!

/** AWS ends the ids of its examples in EXAMPLE. */
function isExampleKey(window: TextWindow, { start, end, tail }: SecretMatch): boolean {
  if (tail === null && window.text.endsWith('EXAMPLE', end)) return true
  if (EXAMPLES.starts[window.text.charCodeAt(start)] !== 1) return false
  const exampleEnd = EXAMPLES.endFrom(window, start)
  return exampleEnd >= end && !isAlphanumeric(window.at(exampleEnd))
}
