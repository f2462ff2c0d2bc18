/**
 * Where the scanner stops. A character is a trigger after certain characters and before certain others: most dots end
 * sentences and most hyphens join words, and those cost no more than a letter.
 */
import * as ascii from '../core/ascii.ts'
import { PII_TYPES, type PiiType } from '../core/pii-types.ts'
import { isClosing } from './emails/email-domain.ts'
import type { Detects } from './numbers/number.ts'
import { isAnchorPair, mayEndStart } from './secrets/issued-secret.ts'
import { mayEndTokenKind } from './secrets/own-token.ts'
import { DIGIT, isAlphanumeric, isBlank, kindOf } from './text/characters.ts'
import { hexValue, NONE } from './text/escapes.ts'

export const NUMBER = 1
export const AT_SIGN = 2
export const ESCAPE = 3
export const COLON = 4
export const HYPHEN = 5
export const UNDERSCORE = 6
export const DOT = 7
export const TILDE = 8
export const EXCLAMATION = 9
export const ANCHOR = 10
export const LETTER_J = 11
export const LETTER_T = 12
export const ASSIGNMENT = 13
export const ENCODED_WORD = 14

/** The detected types, and where the scanner must stop for them. Created once per selection of types. */
export interface Plan {
  detects: Detects
  /** The trigger of a character, 0 for none. */
  triggers: Uint8Array
  /** 1 where a character may precede a trigger, by `pairOf`. */
  behind: Uint8Array
  /** 1 where a character may follow a trigger, by `pairOf`. */
  ahead: Uint8Array
}

/** Two neighbors as one number. All characters beyond ASCII count as one, which is DEL. */
export function pairOf(first: number, second: number): number {
  return ((first < ascii.END ? first : ascii.DELETE) << 7) | (second < ascii.END ? second : ascii.DELETE)
}

type Test = (neighbor: number, trigger: number) => boolean

const any: Test = () => true
const isWord: Test = (code) => code < ascii.END && isAlphanumeric(code)
const isBeyondAscii = (code: number): boolean => code === ascii.DELETE
const isVisible: Test = (code) => code > ascii.SPACE
const isQuote = ascii.oneOf('"\'')

const plans = new WeakMap<readonly PiiType[], Plan>()

export function planFor(types: readonly PiiType[]): Plan {
  let plan = plans.get(types)
  if (!plan) {
    const detects = Object.fromEntries(PII_TYPES.map((type) => [type, types.includes(type)])) as Detects
    plan = {
      detects,
      triggers: new Uint8Array(65_536),
      behind: new Uint8Array(0x4000),
      ahead: new Uint8Array(0x4000),
    }
    addCommonTriggers(plan)
    for (const type of types) TRIGGERS[type](plan)
    plans.set(types, plan)
  }
  return plan
}

/** Where each type begins or can be recognized. */
const TRIGGERS: Readonly<Record<PiiType, (plan: Plan) => void>> = {
  email: addEmailTriggers,
  phone: addNumberTrigger,
  ssn: addNumberTrigger,
  credit_card: addNumberTrigger,
  iban: addNumberTrigger,
  secret: addSecretTriggers,
  ip: addIpTriggers,
  national_id: addNumberTrigger,
  document_number: addNumberTrigger,
  date_of_birth: addNumberTrigger,
  crypto_wallet: addNumberTrigger,
  mac: addMacTriggers,
}

/** Our own tokens, which are detected with any types, and encoded words, which may contain any type. */
function addCommonTriggers(plan: Plan): void {
  add(plan, UNDERSCORE, '_', { behind: mayEndTokenKind, ahead: isVisible })
  add(plan, LETTER_J, 'J', { behind: ascii.oneOf('yQ') })
  add(plan, ENCODED_WORD, '?', { behind: (code) => code === ascii.EQUALS, ahead: isWord })
}

function addNumberTrigger(plan: Plan): void {
  add(plan, NUMBER, '0123456789', { behind: (code) => !(kindOf(code) & DIGIT) })
  for (const zero of [0xff10, 0x660, 0x6f0]) plan.triggers.fill(NUMBER, zero, zero + 10)
}

function addIpTriggers(plan: Plan): void {
  addNumberTrigger(plan)
  add(plan, COLON, ':', { ahead: isVisible })
}

function addMacTriggers(plan: Plan): void {
  const isHex: Test = (code) => hexValue(code) >= 0
  add(plan, COLON, ':', { ahead: isVisible })
  add(plan, HYPHEN, '-', { behind: isHex, ahead: isHex })
}

function addEmailTriggers(plan: Plan): void {
  add(plan, AT_SIGN, '@', {})
  for (const code of [0xff20, 0xfe6b]) plan.triggers[code] = AT_SIGN
  // `%40`, `%2540`, `&#64;`, `&commat;`, `\u0040`, `\x40`, `=40`
  add(plan, ESCAPE, '%', { ahead: ascii.oneOf('42') })
  add(plan, ESCAPE, '&', { ahead: ascii.oneOf('#c') })
  add(plan, ESCAPE, '\\', { ahead: ascii.oneOf('ux') })
  add(plan, ASSIGNMENT, '=', { ahead: (code) => code === ascii.FOUR })
  add(plan, LETTER_T, 'tT', {
    behind: (code) => (code | ascii.LOWER_CASE) === ascii.LOWER_A,
    ahead: (code) => code === ascii.SPACE || code === ascii.UNDERSCORE || isClosing(code),
  })
}

function addSecretTriggers(plan: Plan): void {
  addNumberTrigger(plan)
  add(plan, UNDERSCORE, '_', { behind: (code) => mayEndStart(code, ascii.UNDERSCORE), ahead: isVisible })
  add(plan, COLON, ':', { ahead: (code) => isVisible(code, 0) || isBlank(code) })
  add(plan, HYPHEN, '-', { behind: mayBeginHyphens, ahead: isVisible })
  add(plan, DOT, '.', {
    behind: isWord,
    ahead: (code) => isWord(code, 0) || code === ascii.HYPHEN || code === ascii.UNDERSCORE,
  })
  add(plan, TILDE, '~', { behind: isWord, ahead: isVisible })
  add(plan, EXCLAMATION, '!', { behind: isWord, ahead: isVisible })
  add(plan, ANCHOR, 'AGKV', { ahead: (code, anchor) => isAnchorPair(anchor, code) })
  // `==`, `=>`, `=:`: the last sign counts.
  add(plan, ASSIGNMENT, '=', { ahead: (code) => (isVisible(code, 0) || isBlank(code)) && !isLaterSign(code) })
  add(plan, ASSIGNMENT, '>', { ahead: (code) => !isLaterSign(code) })
  add(plan, ASSIGNMENT, ',', { behind: isQuote })
}

const isLaterSign = ascii.oneOf(':=>')

/**
 * Before the first hyphen of a flag, the last of five of a private key, or one of an issuer's prefix or Mailchimp's
 * key.
 */
function mayBeginHyphens(code: number): boolean {
  return (
    code <= ascii.SPACE ||
    isQuote(code) ||
    code === ascii.HYPHEN ||
    hexValue(code) >= 0 ||
    mayEndStart(code, ascii.HYPHEN)
  )
}

/** `behind`, `ahead`: conditions for the neighbors. (Default: anything.) Characters beyond ASCII always qualify. */
function add(plan: Plan, trigger: number, characters: string, { behind = any, ahead = any }: Neighbors): void {
  for (const character of characters) {
    const code = character.charCodeAt(0)
    plan.triggers[code] = trigger
    for (let neighbor = NONE; neighbor < ascii.END; neighbor++) {
      if (behind(neighbor, code) || isBeyondAscii(neighbor)) plan.behind[pairOf(neighbor, code)] = 1
      if (ahead(neighbor, code) || isBeyondAscii(neighbor)) plan.ahead[pairOf(code, neighbor)] = 1
    }
  }
}

interface Neighbors {
  behind?: Test
  ahead?: Test
}
