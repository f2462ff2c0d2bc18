/** Redacts a text that arrives in pieces. Whatever the pieces, what comes out is what the whole text would give. */
import { PII } from '../pii-types.ts'
import type { KnownValues } from './known-values.ts'
import type { Finding, Match } from './match.ts'
import { actionFor, isAllowed, type Policy, replacementOf } from './policy.ts'
import { Scanner } from './scanner.ts'

/** As much of a value as a finding carries: more than any key has. */
const VALUE_MAX = 8192

export class StreamRedactor {
  /** What was found so far and has ended, with offsets in the original text. */
  readonly findings: Finding[] = []
  readonly #policy: Policy
  readonly #scanner: Scanner
  /** Up to where the original text has been given out or replaced. */
  #sent = 0
  /** A secret that may go on. */
  #open: { match: Match; finding: Finding } | null = null
  #before: string

  /** `before`: what has left of this text already; what begins in it is taken out of the rest. (Default: nothing.) */
  constructor(policy: Policy, known?: KnownValues, before = '') {
    this.#policy = policy
    this.#scanner = new Scanner(policy.detect, known)
    this.#before = before
    this.#sent = before.length
  }

  /** The end of the original text, as far back as something could begin in it that goes on. */
  get context(): string {
    return this.#scanner.context
  }

  /** Takes a piece in and returns the text that is certain by now; at most 320 characters are held back. */
  push(chunk: string): string {
    return this.#advance(chunk, false)
  }

  /**
   * Takes the last piece in and returns the rest; nothing may follow. When a stream was aborted this tells the last
   * findings, and the text it returns is to be dropped.
   */
  end(chunk = ''): string {
    return this.#advance(chunk, true)
  }

  #advance(chunk: string, final: boolean): string {
    const scanner = this.#scanner
    const matches = scanner.scan(this.#before + chunk, final)
    this.#before = ''
    this.#followOpen()
    let out = ''
    for (const match of matches) {
      if (match.end <= this.#sent && !scanner.isOpen) continue
      const finding = this.#findingOf(match)
      if (!finding) continue
      if (finding.action !== 'warn') {
        out += scanner.text(this.#sent, match.start) + finding.replacement
        this.#sent = match.end
      }
      this.#open = { match, finding }
      if (!scanner.isOpen || match !== matches.at(-1)) this.#close()
    }
    out += scanner.text(this.#sent, scanner.settled)
    this.#sent = Math.max(this.#sent, scanner.settled)
    return out
  }

  /** The rest of a secret is swallowed as it comes, unless findings are only warned about. */
  #followOpen(): void {
    if (!this.#open) return
    const { match, finding } = this.#open
    finding.value = (finding.value + this.#scanner.text(finding.end, match.end)).slice(0, VALUE_MAX)
    finding.end = match.end
    if (finding.action !== 'warn') this.#sent = match.end
    if (!this.#scanner.isOpen) this.#close()
  }

  #close(): void {
    if (this.#open) this.findings.push(this.#open.finding)
    this.#open = null
  }

  #findingOf({ type, start, end }: Match): Finding | null {
    const policy = this.#policy
    const value = this.#scanner.text(start, end).slice(0, VALUE_MAX)
    if (isAllowed(policy, type, value)) return null
    return {
      type,
      start,
      end,
      value,
      risk: PII[type].risk,
      action: actionFor(policy, type, value),
      replacement: replacementOf(type),
    }
  }
}
