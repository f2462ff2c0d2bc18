/**
 * Finding and redacting personal data and secrets in texts.
 *
 * To get findings without a policy (the `scan` command), call `findPii`; to protect a text, use a `Redactor`, on the
 * whole or in pieces. The value of a finding is for hashing or sealing; it never goes into an event or a log. Detection
 * is in `scanner.ts` and a file per type; `policy.ts` decides what happens to a finding.
 */
import { CageError } from '../core/errors.ts'
import type { PiiType } from '../core/events.ts'
import { PII, PII_TYPES } from '../core/pii-types.ts'
import { type KnownSecret, KnownValues } from './known/known-values.ts'
import type { Policy, RedactionScope } from './policy.ts'
import { Scanner } from './scanner.ts'
import { type Reading, type StreamReading, StreamRedactor } from './stream-redactor.ts'
import type { Finding, PiiSpan } from './text/match.ts'

/** Returns all data of the given types in a text, in order. (Default: all types.) */
export function findPii(text: string, types: readonly PiiType[] = PII_TYPES): PiiSpan[] {
  return new Scanner(types).scan(text, true).map(({ type, start, end }) => ({ type, start, end, risk: PII[type].risk }))
}

/**
 * For names that people choose: they are keys, stored and shown everywhere, so they cannot be silently redacted.
 * Throws CageError `bad_request`.
 */
export function assertNoPii(name: string, redactor: Redactor, what = 'name'): void {
  const types = redactor.redact(name).findings.map(({ type }) => type)
  if (types.length === 0) return
  throw new CageError('bad_request', `the ${what} contains personal data (${types.join(', ')})`, {
    hint: `a ${what} is stored and shown unredacted: choose one without personal data`,
  })
}

/** Throws CageError `bad_request` for a name or a tag with personal data. */
export function assertNamesNoPii(
  { name, tags }: { name?: string | undefined; tags: Readonly<Record<string, string>> },
  redactor: Redactor,
): void {
  if (name !== undefined) assertNoPii(name, redactor)
  for (const [tag, value] of Object.entries(tags)) assertNoPii(`${tag}=${value}`, redactor, 'tag')
}

/** Returns the findings in a text as `scan --jsonl` prints them: types in capitals, UTF-16 offsets. */
export function toSpans(text: string): { spans: { type: string; start: number; end: number }[] } {
  return { spans: findPii(text).map(({ type, start, end }) => ({ type: type.toUpperCase(), start, end })) }
}

/** Longer texts rarely repeat. */
const SHORT = 160
const REMEMBERED = 1_000
/** Longer texts need no label to be recognized. */
const LABELED = 512
const NO_TYPES: PiiType[] = []

/** The state of a redactor as plain data, to recreate it on another thread. */
export interface RedactorSettings {
  policy: Policy
  known: readonly KnownSecret[]
}

export interface LabeledReading extends Reading {
  label?: string | undefined
}

export class Redactor {
  #policy: Policy
  #secrets: readonly KnownSecret[] = []
  #known: KnownValues | undefined
  /** Short texts without findings. */
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
    return { policy: this.#policy, known: this.#secrets }
  }

  /** Changes the policy; open streams keep the old one. */
  follow(policy: Policy): void {
    this.#policy = policy
    this.#clean.clear()
  }

  /** Replaces the values that are secret under every policy. */
  know(secrets: readonly KnownSecret[]): void {
    this.#secrets = secrets
    this.#known = KnownValues.of(secrets)
    this.#clean.clear()
  }

  /** Whether the policy covers these texts. */
  covers(scope: RedactionScope): boolean {
    return this.#policy.scope.includes(scope)
  }

  /** Whether the arguments of tools may have what their request has. */
  get passesGiven(): boolean {
    return this.#policy.given === 'pass'
  }

  /**
   * Returns the redacted text and all findings, with offsets in the given text. Names of models, headers, ids and
   * messages repeat: those without a finding are scanned once.
   *
   * `label`: the name of the text's field if it may identify the text: after "phone" ten digits are a phone number.
   * (Default: none.)
   */
  redact(text: string, { label, ...reading }: LabeledReading = {}): { text: string; findings: Finding[] } {
    if (label !== undefined && text.length <= LABELED) return this.#redactLabeled(text, label, reading)
    // In code less counts.
    if (text.length <= SHORT && this.#clean.has(text)) return { text, findings: [] }
    const stream = this.stream(reading)
    const redacted = stream.end(text)
    if (stream.findings.length === 0 && text.length <= SHORT && !reading.isCode) {
      if (this.#clean.size === REMEMBERED) this.#clean.clear()
      this.#clean.add(text)
    }
    return { text: redacted, findings: stream.findings }
  }

  #redactLabeled(text: string, label: string, reading: Reading): { text: string; findings: Finding[] } {
    const prefix = `${label}: `
    const { text: safe, findings } = this.redact(prefix + text, reading)
    if (findings.length === 0) return { text, findings }
    if (!safe.startsWith(prefix)) return this.redact(text, reading)
    const moved = findings.map((finding) => {
      const [start, end] = [finding.start - prefix.length, finding.end - prefix.length]
      return { ...finding, start, end }
    })
    return { text: safe.slice(prefix.length), findings: moved }
  }

  /** Returns only the redacted text. */
  clean(text: string): string {
    return this.redact(text).text
  }

  /** Redacts one text in pieces, with one stream per text. `before`: the part already sent. (Default: none.) */
  stream(reading?: StreamReading): StreamRedactor {
    return new StreamRedactor(this.#policy, this.#known, reading)
  }

  /** Like `redact`, for data that is not text: only known values are searched for. */
  redactKnown(text: string): { text: string; findings: Finding[] } {
    if (!this.#known) return { text, findings: [] }
    const stream = this.#streamOfKnown()
    return { text: stream.end(text), findings: stream.findings }
  }

  /** Returns the end of a text that may be the beginning of a known value. */
  knownStart(text: string): string {
    const stream = this.#streamOfKnown()
    stream.push(text)
    return stream.heldBack
  }

  #streamOfKnown(): StreamRedactor {
    return new StreamRedactor({ ...this.#policy, detect: NO_TYPES }, this.#known)
  }
}
