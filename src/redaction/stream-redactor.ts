/** Redacts a text that arrives in pieces. The output is the same as for the whole text, however it is split. */
import { PII, type PiiType } from '../core/pii-types.ts'
import type { KnownValues } from './known/known-values.ts'
import { placeholderOf } from './placeholder.ts'
import { actionFor, isAllowed, type Policy } from './policy.ts'
import { Scanner } from './scanner.ts'
import { MAX_FIELD, quoteFor } from './text/json-number.ts'
import type { Finding, Match } from './text/match.ts'

/** A finding that is replaced in the text. */
export interface Edit {
  /** Where it begins in the unsent text. */
  start: number
  finding: Finding
}

/** Maximum characters of a finding's value: more than any key has. */
const MAX_VALUE = 8192

/** Whether who asked has a value already. */
export type IsGiven = (type: PiiType, value: string) => boolean

const NONE_GIVEN: IsGiven = () => false

/** How a text is read. */
export interface Reading {
  /** The text is code, such as the arguments of a tool. (Default: fenced blocks in it are.) */
  isCode?: boolean | undefined
  /** Values that stay; never secrets. (Default: none.) */
  isGiven?: IsGiven | undefined
}

export interface StreamReading extends Reading {
  before?: string | undefined
}

export class StreamRedactor {
  /** Findings that have ended, with offsets in the original text. */
  readonly findings: Finding[] = []
  /** Everything that is replaced, in order; the end of the last one may still move. */
  readonly edits: Edit[] = []
  /** Characters of the original text so far. */
  length: number
  readonly #policy: Policy
  readonly #isGiven: IsGiven
  readonly #scanner: Scanner
  /** Up to here the original text was returned or replaced. */
  #sent = 0
  /** A secret that may continue. */
  #open: { match: Match; finding: Finding } | null = null
  #before: string

  /** `before`: the part of the text already sent; what begins in it is redacted in the rest. (Default: none.) */
  constructor(policy: Policy, known?: KnownValues, { before = '', isCode, isGiven = NONE_GIVEN }: StreamReading = {}) {
    this.#policy = policy
    this.#scanner = new Scanner(policy.detect, known, isCode ? 'all' : 'fenced')
    this.#isGiven = isGiven
    this.#before = before
    this.#sent = before.length
    this.length = before.length
  }

  /** The end of the original text, as far back as a match that continues could begin. */
  get context(): string {
    return this.#scanner.context
  }

  /** The text that was not returned yet, as it is. */
  get heldBack(): string {
    return this.#scanner.text(this.#sent, Number.POSITIVE_INFINITY)
  }

  /** Everything before this offset of the original text was returned or replaced. */
  get certain(): number {
    return this.#sent
  }

  /** Returns the text that is held back as it is, though it may be the beginning of data. */
  release(): string {
    const text = this.heldBack
    this.#sent = this.length
    return text
  }

  /** The text ends with a secret that may continue. */
  get isOpen(): boolean {
    return this.#scanner.isOpen
  }

  /** Adds a piece and returns the text that is certain by now; at most 320 characters are held back. */
  push(chunk: string): string {
    return this.#advance(chunk, false)
  }

  /**
   * Adds the last piece and returns the rest; nothing may follow. For an aborted stream this reports the last findings,
   * and the returned text must be discarded.
   */
  end(chunk = ''): string {
    return this.#advance(chunk, true)
  }

  #advance(chunk: string, final: boolean): string {
    const scanner = this.#scanner
    this.length += chunk.length
    const matches = scanner.scan(this.#before + chunk, final)
    this.#before = ''
    this.#followOpen(matches.length > 0)
    let out = ''
    for (const match of matches) {
      if (match.end <= this.#sent && !scanner.isOpen) continue
      const finding = this.#findingOf(match)
      if (!finding) continue
      if (finding.action !== 'warn') {
        out += scanner.text(this.#sent, match.start) + finding.replacement
        this.edits.push({ start: Math.max(this.#sent, match.start), finding })
        this.#sent = match.end
      }
      this.#open = { match, finding }
      if (!scanner.isOpen || match !== matches.at(-1)) this.#close()
    }
    out += scanner.text(this.#sent, scanner.settled)
    this.#sent = Math.max(this.#sent, scanner.settled)
    return out
  }

  /**
   * The rest of a secret is swallowed as it arrives, unless findings are only warned about. Another match ends it, even if
   * that one is open now.
   */
  #followOpen(hasNext: boolean): void {
    if (!this.#open) return
    const { match, finding } = this.#open
    finding.value = (finding.value + this.#scanner.text(finding.end, match.end)).slice(0, MAX_VALUE)
    finding.end = match.end
    if (finding.action !== 'warn') this.#sent = match.end
    if (hasNext || !this.#scanner.isOpen) this.#close()
  }

  #close(): void {
    if (this.#open) this.findings.push(this.#open.finding)
    this.#open = null
  }

  #findingOf({ type, start, end }: Match): Finding | null {
    const policy = this.#policy
    const value = this.#scanner.text(start, end).slice(0, MAX_VALUE)
    if (isAllowed(policy, type, value) || (type !== 'secret' && this.#isGiven(type, value))) return null
    const quote = quoteFor(this.#scanner.before(start, MAX_FIELD), value)
    return {
      type,
      start,
      end,
      value,
      risk: PII[type].risk,
      action: actionFor(policy, type, value),
      replacement: quote + placeholderOf(type, value, policy.shapedWith) + quote,
    }
  }
}
