/**
 * Personal data and secrets in texts: finding them and taking them out.
 *
 * Who wants findings without a policy (the `scan` command) calls `findPii`; who guards a text asks a `Redactor`, whole or
 * in pieces. The value of a finding is there to be hashed or sealed; it never goes into an event or a log. Detection is
 * `scanner.ts` and a file for each type; what happens to a finding is `policy.ts`.
 */
import { CageError } from '../errors.ts'
import type { PiiType } from '../events.ts'
import { PII, PII_TYPES } from '../pii-types.ts'
import { KnownValues } from './known-values.ts'
import type { Finding, PiiSpan } from './match.ts'
import type { Policy, Scope } from './policy.ts'
import { Scanner } from './scanner.ts'
import { StreamRedactor } from './stream-redactor.ts'

/** What there is in a text, in order, of the given types. (Default: all types.) */
export function findPii(text: string, types: readonly PiiType[] = PII_TYPES): PiiSpan[] {
  return new Scanner(types).scan(text, true).map(({ type, start, end }) => ({ type, start, end, risk: PII[type].risk }))
}

/**
 * For names that people choose: they are keys, stored and shown everywhere, so they cannot be changed silently.
 * Throws CageError `bad_request`.
 */
export function assertNoPii(name: string, redactor: Redactor): void {
  const types = redactor.redact(name).findings.map(({ type }) => type)
  if (types.length === 0) return
  throw new CageError('bad_request', `the name holds personal data (${types.join(', ')})`, {
    hint: 'names are stored and shown as they are: choose one without',
  })
}

/** What there is in a text as `scan --jsonl` prints it: types in capitals, UTF-16 offsets. */
export function toSpans(text: string): { spans: { type: string; start: number; end: number }[] } {
  return { spans: findPii(text).map(({ type, start, end }) => ({ type: type.toUpperCase(), start, end })) }
}

/** Longer texts than this hardly come twice. */
const SHORT = 160
const REMEMBERED = 1_000
/** Longer texts say themselves what they are. */
const LABELED = 512
const NO_TYPES: PiiType[] = []

/** All that a redactor goes by, as plain data: another thread makes one like it. */
export interface RedactorSettings {
  policy: Policy
  known: readonly string[]
}

export class Redactor {
  #policy: Policy
  #values: readonly string[] = []
  #known: KnownValues | undefined
  /** Short texts in which there is nothing. */
  readonly #clean = new Set<string>()

  static of({ policy, known }: RedactorSettings): Redactor {
    const redactor = new Redactor(policy)
    redactor.know(known)
    return redactor
  }

  constructor(policy: Policy) {
    this.#policy = policy
  }

  get settings(): RedactorSettings {
    return { policy: this.#policy, known: this.#values }
  }

  /** From now on; a stream that has begun goes on as it began. */
  follow(policy: Policy): void {
    this.#policy = policy
    this.#clean.clear()
  }

  /** Values that are secret from now on, in place of those told before, whatever the policy looks for. */
  know(values: readonly string[]): void {
    this.#values = values
    this.#known = KnownValues.of(values)
    this.#clean.clear()
  }

  /** Whether the policy wants these texts looked at. */
  covers(scope: Scope): boolean {
    return this.#policy.scope.includes(scope)
  }

  /**
   * The text without what the policy takes out, and everything that was found, with offsets in the given text. Names of
   * models, headers, ids and messages come again and again: those without a finding are looked at once.
   *
   * `label`: the name of the text's field, where it may say what the text is: behind "phone" ten digits are a number to
   * call. (Default: it has none.)
   */
  redact(text: string, label?: string): { text: string; findings: Finding[] } {
    if (label !== undefined && text.length <= LABELED) return this.#redactLabeled(text, label)
    if (this.#clean.has(text)) return { text, findings: [] }
    const stream = this.stream()
    const redacted = stream.end(text)
    if (stream.findings.length === 0 && text.length <= SHORT) {
      if (this.#clean.size === REMEMBERED) this.#clean.clear()
      this.#clean.add(text)
    }
    return { text: redacted, findings: stream.findings }
  }

  #redactLabeled(text: string, label: string): { text: string; findings: Finding[] } {
    const prefix = `${label}: `
    const { text: safe, findings } = this.redact(prefix + text)
    if (findings.length === 0) return { text, findings }
    if (!safe.startsWith(prefix)) return this.redact(text)
    const moved = findings.map((finding) => {
      const [start, end] = [finding.start - prefix.length, finding.end - prefix.length]
      return { ...finding, start, end }
    })
    return { text: safe.slice(prefix.length), findings: moved }
  }

  /** The text alone. */
  clean(text: string): string {
    return this.redact(text).text
  }

  /** Redacts one text in pieces. Every text needs a stream of its own. `before`: what has left of it. (Default: nothing.) */
  stream(before = ''): StreamRedactor {
    return new StreamRedactor(this.#policy, this.#known, before)
  }

  /** As `redact`, for what has no text in it: only values that are known to be secret are looked for. */
  redactKnown(text: string): { text: string; findings: Finding[] } {
    if (!this.#known) return { text, findings: [] }
    const stream = new StreamRedactor({ ...this.#policy, detect: NO_TYPES }, this.#known)
    return { text: stream.end(text), findings: stream.findings }
  }
}
