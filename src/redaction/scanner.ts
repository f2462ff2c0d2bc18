/**
 * Finds data of all types in one pass over a text that may still be growing.
 *
 * The rules:
 * - The scanner stops only at triggers (an at sign, the first digit of a number, a colon …); a trigger's detector reads
 *   a bounded distance back and forward. So time is linear in the length of any text.
 * - Detectors never read past the end of a text that may continue (`TextWindow.cut`). So the findings do not depend on
 *   how the text arrived, and a whole text is a stream of one chunk.
 * - Everything before `settled` is decided. The rest must be held back: it begins a match, or it could be the local
 *   part, prefix or lead of one whose trigger has not arrived.
 * - No detector reads further back than KEPT characters, so that much of the settled text is kept.
 */
import * as ascii from '../core/ascii.ts'
import type { PiiType } from '../core/pii-types.ts'
import { countsInArguments, countsInCode } from './code/in-code.ts'
import { findEmail } from './emails/email.ts'
import { MAX_LOCAL } from './emails/local-part.ts'
import { findBracketedAt, findSpacedAtSign, findWordAt, spelledHold } from './emails/spelled-email.ts'
import type { KnownValues } from './known/known-values.ts'
import { findIpv6 } from './numbers/ip-address.ts'
import { findMac } from './numbers/mac-address.ts'
import { findNumber } from './numbers/number.ts'
import { findAnchoredSecret, findMarkedSecret } from './secrets/issued-secret.ts'
import { findFlagSecret, findNamedSecret } from './secrets/named-secret.ts'
import { findAccessToken, findOwnToken } from './secrets/own-token.ts'
import { findPrivateKey } from './secrets/private-key.ts'
import type { SecretMatch, Tail } from './secrets/secret.ts'
import { tailEnd } from './secrets/secret-tail.ts'
import { findUrlPassword } from './secrets/url-password.ts'
import { kindOf, plain, RUN } from './text/characters.ts'
import { findEncodedWord } from './text/encoded-word.ts'
import { hexValue } from './text/escapes.ts'
import type { Match } from './text/match.ts'
import { type CodeParts, TextWindow } from './text/text-window.ts'
import {
  findDataCenterKey,
  findDottedToken,
  findServiceKey,
  findSessionToken,
  findTildeSecret,
  findWebToken,
} from './text/token-forms.ts'
import * as trigger from './triggers.ts'
import { type Plan, pairOf, planFor } from './triggers.ts'

/** How much settled text is kept for reading back: the longest local part and the words before it, with a margin. */
const KEPT = 160

/** Used without known values. */
const NO_STARTS = new Uint8Array(65_536)

export class Scanner {
  readonly #types: readonly PiiType[]
  readonly #plan: Plan
  readonly #window = new TextWindow()
  /** A secret whose end has not arrived. */
  #open: { match: Match; tail: Tail } | null = null
  /** Number of characters dropped from the front of the window. */
  #dropped = 0
  #settled = 0

  readonly #known: KnownValues | undefined

  /**
   * `known`: values that are secret in any form, for any types. (Default: none.) `code`: the parts in which less counts
   * (`code/in-code.ts`). (Default: none.)
   */
  constructor(types: readonly PiiType[], known?: KnownValues, code: CodeParts = 'none') {
    this.#known = known
    this.#window.codeParts = code
    this.#types = types
    this.#plan = planFor(types)
  }

  /** Everything before this offset of the whole text is decided. */
  get settled(): number {
    return this.#dropped + this.#settled
  }

  /** The last match is a secret that may continue. */
  get isOpen(): boolean {
    return this.#open !== null
  }

  /** The text that is kept. */
  get context(): string {
    return this.#window.text
  }

  /** Returns the text between two offsets, the first not before the text settled in the last call. */
  text(start: number, end: number): string {
    return this.#window.text.slice(start - this.#dropped, end - this.#dropped)
  }

  /** Returns the text before an offset, at most so much of it as is kept. */
  before(offset: number, length: number): string {
    const end = offset - this.#dropped
    return this.#window.text.slice(Math.max(0, end - length), end)
  }

  /**
   * Adds text and returns the new matches, in order, with offsets in the whole text. The end of the last match may
   * still move with the next call, when a secret continues.
   */
  scan(chunk: string, final: boolean): Match[] {
    const window = this.#window
    const drop = Math.max(0, this.#settled - KEPT)
    window.append(chunk, drop)
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
    window.cut = false
    for (let position = this.#nextStop(this.#settled); position < window.text.length; ) {
      const match = this.#matchAt(position)
      // Other detectors of this trigger may begin earlier than the one that was cut.
      if (window.cut) return this.#settle(Math.min(window.candidate, holdFrom(window.text, position, window.floor)))
      if (match) {
        matches.push({ type: match.type, start: match.start + this.#dropped, end: match.end + this.#dropped })
        window.floor = match.end
        this.#settled = match.end
        const tail = (match as SecretMatch).tail
        if (tail) {
          this.#open = { match: matches[matches.length - 1] as Match, tail }
          this.#swallowTail()
          if (this.#open) return
        }
      }
      position = this.#nextStop(match ? this.#settled : position + 1)
    }
    this.#settle(window.final ? window.text.length : holdFrom(window.text, window.text.length, window.floor))
  }

  /** Returns the position of the next possible match, or the end. */
  #nextStop(from: number): number {
    const { triggers, behind, ahead } = this.#plan
    const starts = this.#known?.starts ?? NO_STARTS
    const codes = this.#window.codes
    const length = this.#window.text.length
    let before = this.#window.before(from)
    if (before >= ascii.END) before = ascii.DELETE
    for (let position = from; position < length; position++) {
      const code = codes[position] as number
      if (code < ascii.END) {
        if (
          (behind[(before << 7) | code] === 1 &&
            (position + 1 === length || ahead[pairOf(code, codes[position + 1] as number)] === 1)) ||
          starts[code] === 1
        )
          return position
        before = code
      } else {
        if (triggers[code] !== 0 || starts[code] === 1) return position
        before = ascii.DELETE
      }
    }
    return length
  }

  /** Returns the match at a stop. Known values take precedence over all types. */
  #matchAt(position: number): Match | null {
    const window = this.#window
    const code = window.codes[position] as number
    window.candidate = position
    if (this.#known?.starts[code] === 1) {
      const end = this.#known.endFrom(window, position)
      if (window.cut) return null
      if (end > 0) return { type: 'secret', start: position, end }
    }
    const match = this.#detect(this.#plan.triggers[code] as number, position)
    if (!match || window.cut) return match
    window.candidate = match.start
    if (window.isInCode(match.start) && !countsInCode(window, match)) return null
    if (window.codeParts === 'all' && !countsInArguments(window, match)) return null
    if (!this.#known || window.cut) return match
    // The user of a URL, whose password matches, stands before the match.
    match.start = this.#known.startFrom(window, position + 1, match.start)
    if (!window.cut) match.end = this.#known.extend(window, match.start, match.end)
    return match
  }

  /** Settled text stays settled. */
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

  #detect(kind: number, position: number): Match | null {
    const window = this.#window
    switch (kind) {
      case trigger.NUMBER:
        return findNumber(window, position, this.#plan.detects)
      case trigger.AT_SIGN:
        return this.#detectAtSign(position)
      case trigger.ESCAPE:
        return this.#detectEscaped(position)
      case trigger.LETTER_T:
        return this.#firstOf(findWordAt, findBracketedAt, position)
      case trigger.LETTER_J:
        return this.#detectLetterJ(position)
      case trigger.UNDERSCORE:
        return this.#plan.detects.secret
          ? this.#firstOf(findOwnToken, findMarkedSecret, position)
          : findOwnToken(window, position)
      case trigger.COLON:
        return this.#detectColon(position)
      case trigger.HYPHEN:
        return this.#detectHyphen(position)
      case trigger.DOT:
        return this.#firstOf(findDottedToken, findMarkedSecret, position)
      case trigger.TILDE:
        return this.#firstOf(findTildeSecret, findMarkedSecret, position)
      case trigger.EXCLAMATION:
        return findSessionToken(window, position)
      case trigger.ANCHOR:
        return findAnchoredSecret(window, position)
      case trigger.ASSIGNMENT:
        return this.#detectEquals(position)
      case trigger.ENCODED_WORD:
        return findEncodedWord(window, position, (text) => new Scanner(this.#types).scan(text, true)[0]?.type)
      // The first character of a known value.
      default:
        return null
    }
  }

  #firstOf(one: Detector, other: Detector, position: number): Match | null {
    const match = one(this.#window, position)
    return match || this.#window.cut ? match : other(this.#window, position)
  }

  #detectAtSign(position: number): Match | null {
    const match = findEmail(this.#window, position, position + 1)
    return match || this.#window.cut ? match : this.#firstOf(findSpacedAtSign, findBracketedAt, position)
  }

  #detectEscaped(position: number): Match | null {
    const window = this.#window
    const next = window.read(position)
    return next > position + 1 && window.code === ascii.AT ? findEmail(window, position, next) : null
  }

  /** `jane=40example.com`, `key=…` */
  #detectEquals(position: number): Match | null {
    const { email, secret } = this.#plan.detects
    const match = email && this.#window.at(position + 1) === ascii.FOUR ? this.#detectEscaped(position) : null
    return match || this.#window.cut || !secret ? match : findNamedSecret(this.#window, position)
  }

  #detectColon(position: number): Match | null {
    const window = this.#window
    const { secret, mac, ip } = this.#plan.detects
    const next = window.at(position + 1)
    const isDouble = next === ascii.COLON || window.before(position) === ascii.COLON
    const match = secret && !isDouble ? this.#firstOf(findUrlPassword, findNamedSecret, position) : null
    if (match || window.cut) return match
    // Groups of an address are hexadecimal, and an empty one has a colon on either side.
    if (next !== ascii.COLON && hexValue(next) < 0) return null
    const address = mac ? findMac(window, position) : null
    return address || window.cut || !ip ? address : findIpv6(window, position)
  }

  #detectHyphen(position: number): Match | null {
    const window = this.#window
    const { secret, mac } = this.#plan.detects
    const before = window.before(position)
    if (before === ascii.HYPHEN) return findPrivateKey(window, position)
    if (before <= ascii.SPACE || before === ascii.QUOTE || before === ascii.APOSTROPHE)
      return findFlagSecret(window, position)
    const address = mac && hexValue(before) >= 0 ? findMac(window, position) : null
    return address || window.cut || !secret ? address : this.#firstOf(findDataCenterKey, findMarkedSecret, position)
  }

  #detectLetterJ(position: number): Match | null {
    const window = this.#window
    const own = findAccessToken(window, position)
    if (own || window.cut || !this.#plan.detects.secret) return own
    const match = this.#firstOf(findAnchoredSecret, findWebToken, position)
    return match || window.cut ? match : findServiceKey(window, position)
  }
}

type Detector = (window: TextWindow, position: number) => Match | null

/** Returns the start of text that could still become part of a match whose trigger has not arrived. */
function holdFrom(text: string, length: number, floor: number): number {
  const limit = Math.max(floor, length - MAX_LOCAL)
  let start = length
  // Half of a surrogate pair waits for the other half.
  if (start > floor && (text.charCodeAt(start - 1) & 0xfc00) === 0xd800) return start - 1
  while (start > limit && kindOf(text.charCodeAt(start - 1)) & RUN) start--
  // The second half of an emoji may look like that of a tag.
  if (start > floor && (text.charCodeAt(start) & 0xfc00) === 0xdc00) start--
  // `+`, `(` and `(+` may lead a phone number.
  if (start > floor && plain(text.charCodeAt(start - 1)) === ascii.PLUS) start--
  if (start > floor && plain(text.charCodeAt(start - 1)) === ascii.OPEN_PARENTHESIS) start--
  return Math.min(start, spelledHold(text, length, floor))
}
