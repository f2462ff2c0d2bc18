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
 * - A look back reaches at most CONTEXT characters, so that much is kept of what is settled.
 */
import type { PiiType } from '../events.ts'
import { DIGIT, kindOf, plain, RUN } from './characters.ts'
import { findCreditCard } from './credit-card.ts'
import { findEmail, LOCAL_MAX } from './email.ts'
import { findIban } from './iban.ts'
import { findIpv4, findIpv6 } from './ip-address.ts'
import type { Match } from './match.ts'
import { findPhone } from './phone.ts'
import {
  findBotToken,
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
import { findSsn } from './ssn.ts'
import { TextWindow } from './text-window.ts'

export const PII_TYPES: readonly PiiType[] = ['email', 'phone', 'ssn', 'credit_card', 'iban', 'ip', 'secret']

/** How much of a settled text is kept for looking back. */
const KEPT = 160

const NUMBER = 1
const AT_SIGN = 2
const ESCAPE = 3
const COLON = 4
const MARK = 5
const LETTER_A = 6
const LETTER_J = 7

export class Scanner {
  readonly #detects: ReadonlySet<PiiType>
  readonly #triggers: Uint8Array
  readonly #window = new TextWindow()
  /** A secret whose end has not been seen. */
  #open: { match: Match; tail: Tail } | null = null
  /** How many characters were dropped from the front of the window. */
  #dropped = 0
  #settled = 0

  constructor(types: readonly PiiType[]) {
    this.#detects = new Set(types)
    this.#triggers = triggersFor(this.#detects)
  }

  /** Up to where everything is decided, from the beginning of all text. */
  get settled(): number {
    return this.#dropped + this.#settled
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
    const length = text.length
    window.cut = false
    let position = this.#settled
    while (position < length) {
      const trigger = triggers[text.charCodeAt(position)]
      if (trigger === 0) {
        position++
        continue
      }
      window.candidate = position
      const match = this.#detect(trigger as number, position)
      if (window.cut) {
        // Other detectors of this trigger may begin earlier than the one that was cut.
        this.#settled = Math.min(window.candidate, holdFrom(text, position, window.floor))
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
      }
    }
    this.#settled = window.final ? length : Math.max(window.floor, holdFrom(text, length, window.floor))
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
        return this.#detectNumber(position)
      case AT_SIGN:
        return findEmail(window, position, position + 1)
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
      default:
        return findWebToken(window, position)
    }
  }

  #detectColon(position: number): Match | null {
    const window = this.#window
    if (this.#detects.has('secret')) {
      const match = findUrlPassword(window, position)
      if (match || window.cut) return match
    }
    return this.#detects.has('ip') ? findIpv6(window, position) : null
  }

  #detectMark(position: number): Match | null {
    const window = this.#window
    const code = window.text.charCodeAt(position)
    if (code === 0x2e) {
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

  #detectNumber(position: number): Match | null {
    const window = this.#window
    const text = window.text
    // Two digits of an escape: the number begins behind them.
    const start = text.charCodeAt(position - 1) === 0x25 ? position + 2 : position
    if (start !== position) {
      if (!(kindOf(window.at(start)) & DIGIT)) return null
    } else if (kindOf(text.charCodeAt(position - 1)) & DIGIT) {
      const escaped = text.charCodeAt(position - 3) === 0x25 && text.charCodeAt(position - 2) < 0x38
      if (!escaped) return null
    }
    window.candidate = start
    const detects = this.#detects
    if (detects.has('secret')) {
      const match = findBotToken(window, start)
      if (match || window.cut) return match
    }
    if (detects.has('iban')) {
      const match = findIban(window, start)
      if (match || window.cut) return match
    }
    if (detects.has('ip')) {
      const match = findIpv4(window, start)
      if (match || window.cut) return match
    }
    if (detects.has('credit_card')) {
      const match = findCreditCard(window, start)
      if (match || window.cut) return match
    }
    if (detects.has('ssn')) {
      const match = findSsn(window, start)
      if (match || window.cut) return match
    }
    if (detects.has('phone')) {
      const match = findPhone(window, start)
      if (match || window.cut) return match
    }
    return null
  }
}

/** From where the end of a text could still become part of something whose trigger has not arrived. */
function holdFrom(text: string, length: number, floor: number): number {
  const limit = Math.max(floor, length - LOCAL_MAX)
  let start = length
  while (start > limit && kindOf(text.charCodeAt(start - 1)) & RUN) start--
  // `(`, `+` and `(+` may lead a phone number.
  while (start > floor && (plain(text.charCodeAt(start - 1)) === 0x28 || plain(text.charCodeAt(start - 1)) === 0x2b))
    start--
  return start
}

function triggersFor(types: ReadonlySet<PiiType>): Uint8Array {
  const triggers = new Uint8Array(65_536)
  if (types.has('email')) {
    for (const code of [0x40, 0xff20, 0xfe6b]) triggers[code] = AT_SIGN
    for (const code of [0x25, 0x26, 0x5c]) triggers[code] = ESCAPE
  }
  if (types.has('ip') || types.has('secret')) triggers[0x3a] = COLON
  if (types.has('secret')) {
    for (const code of [0x2d, 0x5f, 0x2e]) triggers[code] = MARK
    triggers[0x41] = LETTER_A
    triggers[0x4a] = LETTER_J
  }
  for (let code = 0x30; code <= 0x39; code++) triggers[code] = NUMBER
  for (let code = 0xff10; code <= 0xff19; code++) triggers[code] = NUMBER
  return triggers
}
