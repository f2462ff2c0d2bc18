/**
 * Finds data of all types in one pass over a text that may still be growing.
 *
 * The rules:
 * - The scanner stops only at triggers (an at sign, the first digit of a number, a colon …); the detector of that trigger
 *   looks a bounded distance back and forward. So time is linear in the text, whatever the text is.
 * - Detectors never look past the end of a text that may go on (`TextWindow.cut`). So what is found does not depend on how
 *   the text arrived, and a whole text is just a stream of one chunk.
 * - `settled` is how far everything is decided. What follows must be held back: it begins a datum, or it could be the
 *   local part, prefix or lead of one whose trigger has not arrived.
 * - No detector looks further back than KEPT characters, so that much is kept of what is settled.
 */
import type { PiiType } from '../events.ts'
import { DIGIT, kindOf, plain, RUN } from './characters.ts'
import { findEmail } from './email.ts'
import { findIpv6 } from './ip-address.ts'
import type { KnownValues } from './known-values.ts'
import { LOCAL_MAX } from './local-part.ts'
import type { Match } from './match.ts'
import { type Detects, findNumber } from './number.ts'
import { findAccessToken, findOwnToken } from './own-token.ts'
import {
  findDataCenterKey,
  findDottedToken,
  findMarkedSecret,
  findPrivateKey,
  findSecretOfA,
  findUrlPassword,
  findWebToken,
  type SecretMatch,
  type Tail,
  tailEnd,
} from './secret.ts'
import { findBracketed, findSpacedAtSign, findWordAt, spelledHold } from './spelled-email.ts'
import { TextWindow } from './text-window.ts'

export const PII_TYPES: readonly PiiType[] = ['email', 'phone', 'ssn', 'credit_card', 'iban', 'ip', 'secret']

/** How much of a settled text is kept for looking back: the longest local part and the words before it, with room. */
const KEPT = 160

const NUMBER = 1
const AT_SIGN = 2
const ESCAPE = 3
const COLON = 4
const MARK = 5
const LETTER_A = 6
const LETTER_J = 7
const LETTER_T = 8
const BRACKET = 9

export class Scanner {
  readonly #detects: Detects
  readonly #triggers: Uint8Array
  readonly #window = new TextWindow()
  /** A secret whose end has not been seen. */
  #open: { match: Match; tail: Tail } | null = null
  /** How many characters were dropped from the front of the window. */
  #dropped = 0
  #settled = 0

  readonly #known: KnownValues | undefined

  /** `known`: values that are secret whatever they look like, and whatever the types. (Default: none.) */
  constructor(types: readonly PiiType[], known?: KnownValues) {
    this.#known = known
    const plan = planFor(types)
    this.#detects = plan.detects
    this.#triggers = plan.triggers
  }

  /** Up to where everything is decided, from the beginning of all text. */
  get settled(): number {
    return this.#dropped + this.#settled
  }

  /** The last match is a secret that may go on. */
  get isOpen(): boolean {
    return this.#open !== null
  }

  /** Text between two positions, of which the first must not be before what was settled in the last call. */
  text(start: number, end: number): string {
    return this.#window.text.slice(start - this.#dropped, end - this.#dropped)
  }

  /**
   * Takes more text in and returns what was found in addition, in order, with offsets from the beginning of all text.
   * The end of the last match may still move with the next call, when a secret goes on.
   */
  scan(chunk: string, final: boolean): Match[] {
    const window = this.#window
    const drop = Math.max(0, this.#settled - KEPT)
    window.text = drop > 0 ? window.text.slice(drop) + chunk : window.text + chunk
    window.floor = Math.max(0, window.floor - drop)
    window.final = final
    this.#dropped += drop
    this.#settled -= drop
    const matches: Match[] = []
    this.#swallowTail()
    if (!this.#open) this.#findAll(matches)
    return matches
  }

  #findAll(matches: Match[]): void {
    const window = this.#window
    const text = window.text
    const triggers = this.#triggers
    const starts = this.#known?.starts
    const length = text.length
    window.cut = false
    let position = this.#settled
    while (position < length) {
      const code = text.charCodeAt(position)
      if (starts?.[code] === 1) {
        const end = this.#known!.endFrom(window, position)
        if (window.cut) return this.#settle(Math.min(position, holdFrom(text, position, window.floor)))
        if (end > 0) {
          matches.push({ type: 'secret', start: position + this.#dropped, end: end + this.#dropped })
          window.floor = end
          position = end
          continue
        }
      }
      const trigger = triggers[code]
      if (trigger === 0 || (trigger === LETTER_T && (text.charCodeAt(position - 1) | 0x20) !== 0x61)) {
        position++
        continue
      }
      window.candidate = position
      const match = this.#detect(trigger as number, position)
      if (match && this.#known && !window.cut) {
        window.candidate = match.start
        match.end = this.#known.extend(window, match.start, match.end)
      }
      if (window.cut) {
        // Other detectors of this trigger may begin earlier than the one that was cut.
        this.#settle(Math.min(window.candidate, holdFrom(text, position, window.floor)))
        return
      }
      if (match) {
        matches.push({ type: match.type, start: match.start + this.#dropped, end: match.end + this.#dropped })
        window.floor = match.end
        position = match.end
        const tail = (match as SecretMatch).tail
        if (tail) {
          this.#open = { match: matches[matches.length - 1] as Match, tail }
          this.#settled = position
          this.#swallowTail()
          if (this.#open) return
          position = this.#settled
        }
      } else {
        position++
        // A number is looked at where it begins.
        if (trigger === NUMBER) while (position < length && kindOf(text.charCodeAt(position)) & DIGIT) position++
      }
    }
    this.#settle(window.final ? length : holdFrom(text, length, window.floor))
  }

  /** What was settled stays so. */
  #settle(position: number): void {
    this.#settled = Math.max(this.#settled, this.#window.floor, position)
  }

  #swallowTail(): void {
    if (!this.#open) return
    const window = this.#window
    const { match, tail } = this.#open
    window.cut = false
    const end = tailEnd(window, this.#settled, tail)
    match.end = end + this.#dropped
    window.floor = end
    this.#settled = end
    if (window.final || (!window.cut && end < window.text.length)) this.#open = null
    window.cut = false
  }

  #detect(trigger: number, position: number): Match | null {
    const window = this.#window
    switch (trigger) {
      case NUMBER:
        return findNumber(window, position, this.#detects)
      case AT_SIGN:
        return this.#detectAtSign(position)
      case ESCAPE: {
        const next = window.read(position)
        return next > position + 1 && window.code === 0x40 ? findEmail(window, position, next) : null
      }
      case COLON:
        return this.#detectColon(position)
      case MARK:
        return this.#detectMark(position)
      case LETTER_A:
        return findSecretOfA(window, position)
      case LETTER_J: {
        const own = findAccessToken(window, position)
        return own || window.cut || !this.#detects.secret ? own : findWebToken(window, position)
      }
      case LETTER_T:
        return findWordAt(window, position)
      default:
        return findBracketed(window, position)
    }
  }

  #detectAtSign(position: number): Match | null {
    const match = findEmail(this.#window, position, position + 1)
    return match || this.#window.cut ? match : findSpacedAtSign(this.#window, position)
  }

  #detectColon(position: number): Match | null {
    const window = this.#window
    const next = window.at(position + 1)
    if (next === 0x20 || next === 0x0a) return null
    if (this.#detects.secret) {
      const match = findUrlPassword(window, position)
      if (match || window.cut) return match
    }
    return this.#detects.ip ? findIpv6(window, position) : null
  }

  #detectMark(position: number): Match | null {
    const window = this.#window
    const code = window.text.charCodeAt(position)
    if (code === 0x5f) {
      const own = findOwnToken(window, position)
      if (own || window.cut || !this.#detects.secret) return own
    } else if (code === 0x2e) {
      const match = findDottedToken(window, position)
      if (match || window.cut) return match
    } else if (code === 0x2d) {
      const match = findPrivateKey(window, position)
      if (match || window.cut) return match
      const key = findDataCenterKey(window, position)
      if (key || window.cut) return key
    }
    return findMarkedSecret(window, position)
  }
}

/** From where the end of a text could still become part of something whose trigger has not arrived. */
function holdFrom(text: string, length: number, floor: number): number {
  const limit = Math.max(floor, length - LOCAL_MAX)
  let start = length
  // Half of a surrogate pair waits for the other.
  if (start > floor && (text.charCodeAt(start - 1) & 0xfc00) === 0xd800) return start - 1
  while (start > limit && kindOf(text.charCodeAt(start - 1)) & RUN) start--
  // `+`, `(` and `(+` may lead a phone number.
  if (start > floor && plain(text.charCodeAt(start - 1)) === 0x2b) start--
  if (start > floor && plain(text.charCodeAt(start - 1)) === 0x28) start--
  return Math.min(start, spelledHold(text, length, floor))
}

/** What is looked for, and where the scanner has to stop for it. Made once for each choice of types. */
interface Plan {
  detects: Detects
  triggers: Uint8Array
}

const plans = new WeakMap<readonly PiiType[], Plan>()

function planFor(types: readonly PiiType[]): Plan {
  let plan = plans.get(types)
  if (!plan) {
    const detects = Object.fromEntries(PII_TYPES.map((type) => [type, types.includes(type)])) as Detects
    plan = { detects, triggers: triggersFor(detects) }
    plans.set(types, plan)
  }
  return plan
}

function triggersFor(detects: Detects): Uint8Array {
  const triggers = new Uint8Array(65_536)
  for (let code = 0x30; code <= 0x39; code++) triggers[code] = NUMBER
  for (let code = 0xff10; code <= 0xff19; code++) triggers[code] = NUMBER
  if (detects.email) {
    for (const code of [0x40, 0xff20, 0xfe6b]) triggers[code] = AT_SIGN
    for (const code of [0x25, 0x26, 0x5c]) triggers[code] = ESCAPE
    for (const code of [0x28, 0x5b, 0x7b, 0x3c]) triggers[code] = BRACKET
    for (const code of [0x54, 0x74]) triggers[code] = LETTER_T
  }
  if (detects.ip || detects.secret) triggers[0x3a] = COLON
  // Tokens of ours are looked for in any case.
  triggers[0x5f] = MARK
  triggers[0x4a] = LETTER_J
  if (detects.secret) {
    for (const code of [0x2d, 0x2e]) triggers[code] = MARK
    triggers[0x41] = LETTER_A
  }
  return triggers
}
