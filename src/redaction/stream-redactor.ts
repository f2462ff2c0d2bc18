/** Redacts a text that arrives in pieces. Whatever the pieces, what comes out is what the whole text would give. */
import { emailDomain } from './email.ts'
import type { Match } from './match.ts'
import { actionFor, isAllowedDomain, type Policy, REPLACEMENTS, RISKS } from './policy.ts'
import type { Finding } from './redactor.ts'
import { Scanner } from './scanner.ts'

/** As much of a value as a finding carries: more than any key has. */
const VALUE_MAX = 8192

export class StreamRedactor {
  /** What was found so far, with offsets in the original text. The end of the last one may move while a secret goes on. */
  readonly findings: Finding[] = []
  readonly #policy: Policy
  readonly #scanner: Scanner
  /** Up to where the original text has been given out or replaced. */
  #sent = 0
  /** The last match, whose end may still move. */
  #last: { match: Match; finding: Finding | null } | null = null

  constructor(policy: Policy) {
    this.#policy = policy
    this.#scanner = new Scanner(policy.detect)
  }

  /** Takes a piece in and returns the text that is certain by now; at most 320 characters are held back. */
  push(chunk: string): string {
    return this.#advance(chunk, false)
  }

  /** Takes the last piece in and returns the rest. Nothing may follow. A stream that is aborted is simply not ended. */
  end(chunk = ''): string {
    return this.#advance(chunk, true)
  }

  #advance(chunk: string, final: boolean): string {
    const scanner = this.#scanner
    const matches = scanner.scan(chunk, final)
    this.#followLast()
    let out = ''
    for (const match of matches) {
      out += scanner.text(this.#sent, match.start)
      this.#sent = match.start
      const finding = this.#findingOf(match)
      this.#last = { match, finding }
      if (finding) this.findings.push(finding)
      if (finding && finding.action !== 'warn') {
        out += finding.replacement
        this.#sent = match.end
      }
    }
    out += scanner.text(this.#sent, scanner.settled)
    this.#sent = scanner.settled
    return out
  }

  /** A secret went on: the rest of it is swallowed, unless findings are only warned about. */
  #followLast(): void {
    const { match, finding } = this.#last ?? {}
    if (!match || !finding || match.end === finding.end) return
    finding.value = (finding.value + this.#scanner.text(finding.end, match.end)).slice(0, VALUE_MAX)
    finding.end = match.end
    if (finding.action !== 'warn') this.#sent = match.end
  }

  #findingOf({ type, start, end }: Match): Finding | null {
    const policy = this.#policy
    const value = this.#scanner.text(start, end).slice(0, VALUE_MAX)
    if (type === 'email' && policy.allowDomains.length > 0 && isAllowedDomain(policy, emailDomain(value))) return null
    return {
      type,
      start,
      end,
      value,
      risk: RISKS[type],
      action: actionFor(policy, type),
      replacement: REPLACEMENTS[type],
    }
  }
}
