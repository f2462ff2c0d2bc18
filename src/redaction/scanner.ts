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
import { PII_TYPES, type PiiType } from '../pii-types.ts'
import { DIGIT, kindOf, plain, RUN } from './characters.ts'
import { findEmail } from './email.ts'
import { findIpv6 } from './ip-address.ts'
import { findAnchoredSecret, findMarkedSecret } from './issued-secret.ts'
import type { KnownValues } from './known-values.ts'
import { LOCAL_MAX } from './local-part.ts'
import { findMac } from './mac-address.ts'
import type { Match } from './match.ts'
import { findFlagSecret, findNamedSecret } from './named-secret.ts'
import { type Detects, findNumber } from './number.ts'
import { findAccessToken, findOwnToken } from './own-token.ts'
import { findPrivateKey } from './private-key.ts'
import type { SecretMatch, Tail } from './secret.ts'
import { tailEnd } from './secret-tail.ts'
import { findBracketed, findSpacedAtSign, findWordAt, spelledHold } from './spelled-email.ts'
import { TextWindow } from './text-window.ts'
import {
  findDataCenterKey,
  findDottedToken,
  findServiceKey,
  findSessionToken,
  findTildeSecret,
  findWebToken,
} from './token-forms.ts'
import { findUrlPassword } from './url-password.ts'

/** How much of a settled text is kept for looking back: the longest local part and the words before it, with room. */
const KEPT = 160

const NUMBER = 1
const AT_SIGN = 2
const ESCAPE = 3
const COLON = 4
const MARK = 5
const ANCHOR = 6
const BRACKET = 7
const ASSIGNMENT = 8
/** Counts behind an a only. */
const LETTER_T = 9
/** Counts behind a quote only. */
const COMMA = 10
const LETTER_J = 11

function isQuote(code: number): boolean {
  return code === 0x22 || code === 0x27
}

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

  /** All text that is kept. */
  get context(): string {
    return this.#window.text
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
      if (starts === undefined) {
        while (position < length && triggers[text.charCodeAt(position)] === 0) position++
        if (position === length) break
      }
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
      const trigger = triggers[code] as number
      if (
        trigger === 0 ||
        (trigger === LETTER_T && (text.charCodeAt(position - 1) | 0x20) !== 0x61) ||
        (trigger === COMMA && !isQuote(text.charCodeAt(position - 1)))
      ) {
        position++
        continue
      }
      window.candidate = position
      const match = this.#detect(trigger, position)
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
      case ANCHOR:
        return findAnchoredSecret(window, position)
      case LETTER_J:
        return this.#detectLetterJ(position)
      case LETTER_T:
        return findWordAt(window, position)
      case ASSIGNMENT:
      case COMMA:
        return findNamedSecret(window, position)
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
    const { secret, mac, ip } = this.#detects
    if (secret) {
      const match = findUrlPassword(window, position) ?? (window.cut ? null : findNamedSecret(window, position))
      if (match || window.cut) return match
    }
    const address = mac ? findMac(window, position) : null
    return address || window.cut || !ip ? address : findIpv6(window, position)
  }

  #detectLetterJ(position: number): Match | null {
    const window = this.#window
    const own = findAccessToken(window, position)
    if (own || window.cut || !this.#detects.secret) return own
    const match = findAnchoredSecret(window, position) ?? (window.cut ? null : findWebToken(window, position))
    return match || window.cut ? match : findServiceKey(window, position)
  }

  #detectMark(position: number): Match | null {
    const window = this.#window
    // In a secret something stands behind its mark.
    if (window.text.charCodeAt(position + 1) <= 0x20) return null
    const code = window.text.charCodeAt(position)
    const mac = this.#detects.mac && code === 0x2d ? findMac(window, position) : null
    if (mac || window.cut || (!this.#detects.secret && code !== 0x5f)) return mac
    const match = this.#detectByMark(code, position)
    return match || window.cut || !this.#detects.secret ? match : findMarkedSecret(window, position)
  }

  #detectByMark(mark: number, position: number): Match | null {
    const window = this.#window
    if (mark === 0x5f) return findOwnToken(window, position)
    if (mark === 0x2e) return findDottedToken(window, position)
    if (mark === 0x7e) return findTildeSecret(window, position)
    if (mark === 0x21) return findSessionToken(window, position)
    if (mark !== 0x2d) return null
    const match = findPrivateKey(window, position) ?? (window.cut ? null : findDataCenterKey(window, position))
    return match || window.cut ? match : findFlagSecret(window, position)
  }
}

/** From where the end of a text could still become part of something whose trigger has not arrived. */
function holdFrom(text: string, length: number, floor: number): number {
  const limit = Math.max(floor, length - LOCAL_MAX)
  let start = length
  // Half of a surrogate pair waits for the other.
  if (start > floor && (text.charCodeAt(start - 1) & 0xfc00) === 0xd800) return start - 1
  while (start > limit && kindOf(text.charCodeAt(start - 1)) & RUN) start--
  // The second half of an emoji may look like that of a tag.
  if (start > floor && (text.charCodeAt(start) & 0xfc00) === 0xdc00) start--
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
  for (const zero of [0xff10, 0x660, 0x6f0]) triggers.fill(NUMBER, zero, zero + 10)
  if (detects.email) {
    for (const code of [0x40, 0xff20, 0xfe6b]) triggers[code] = AT_SIGN
    for (const code of [0x25, 0x26, 0x5c]) triggers[code] = ESCAPE
    for (const code of [0x28, 0x5b, 0x7b, 0x3c]) triggers[code] = BRACKET
    for (const code of [0x54, 0x74]) triggers[code] = LETTER_T
  }
  if (detects.ip || detects.secret || detects.mac) triggers[0x3a] = COLON
  if (detects.mac) triggers[0x2d] = MARK
  // Tokens of ours are looked for in any case.
  triggers[0x5f] = MARK
  triggers[0x4a] = LETTER_J
  if (detects.secret) {
    for (const code of [0x2d, 0x2e, 0x7e, 0x21]) triggers[code] = MARK
    for (const code of [0x41, 0x47, 0x4b, 0x56]) triggers[code] = ANCHOR
    for (const code of [0x3d, 0x3e]) triggers[code] = ASSIGNMENT
    triggers[0x2c] = COMMA
  }
  return triggers
}
