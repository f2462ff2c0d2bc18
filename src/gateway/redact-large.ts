/**
 * The texts of a large request or reply, redacted in slices, so that nobody else is held up. A walk over a value cannot
 * pause, so it is made twice: first to collect its texts, and when these are done, to put them in their places.
 */
import { Pace } from '../dialects/large-json.ts'
import type { Finding } from '../redaction/match.ts'
import type { Redactor } from '../redaction/redactor.ts'

/** What a walk asks of a redactor. */
export type TextRedactor = Pick<Redactor, 'covers' | 'redact' | 'redactKnown' | 'stream'>

interface Redacted {
  text: string
  findings: Finding[]
}

/** Longer texts are redacted piece by piece, which gives the same. */
const SLICE_CHARACTERS = 16 * 1024
/** Of one text; further ones are taken out and not counted. */
const MAX_FINDINGS = 100_000

/** Says of every text that there is nothing in it, until `work` has ended; from then on the truth. */
export class RedactAhead implements TextRedactor {
  readonly #redactor: TextRedactor
  readonly #texts = new Map<string | undefined, Map<string, Redacted>>()
  readonly #known = new Map<string, Redacted>()
  #isReady = false

  constructor(redactor: TextRedactor) {
    this.#redactor = redactor
  }

  readonly covers: TextRedactor['covers'] = (scope) => this.#redactor.covers(scope)
  readonly stream: TextRedactor['stream'] = (before) => this.#redactor.stream(before)

  redact(text: string, label?: string): Redacted {
    const texts = this.#texts.get(label) ?? new Map<string, Redacted>()
    this.#texts.set(label, texts)
    const done = texts.get(text)
    if (this.#isReady) return done ?? this.#redactor.redact(text, label)
    if (!done) texts.set(text, { text, findings: [] })
    return { text, findings: [] }
  }

  redactKnown(text: string): Redacted {
    if (this.#isReady) return this.#known.get(text) ?? this.#redactor.redactKnown(text)
    this.#known.set(text, { text, findings: [] })
    return { text, findings: [] }
  }

  /** Redacts what was asked for so far. */
  async work(): Promise<void> {
    const pace = new Pace()
    for (const [label, texts] of this.#texts) {
      for (const text of texts.keys()) {
        const isLong = text.length > SLICE_CHARACTERS
        texts.set(text, isLong ? await redactText(this.#redactor, text, pace) : this.#redactor.redact(text, label))
        await pace.rest()
      }
    }
    for (const text of this.#known.keys()) {
      this.#known.set(text, this.#redactor.redactKnown(text))
      await pace.rest()
    }
    this.#isReady = true
  }
}

/** The same as `redactor.redact`, in slices. */
export async function redactText(redactor: TextRedactor, text: string, pace = new Pace()): Promise<Redacted> {
  const findings: Finding[] = []
  const stream = redactor.stream()
  const pieces: string[] = []
  const take = () => {
    const found = stream.findings.splice(0)
    for (const finding of found) if (findings.length < MAX_FINDINGS) findings.push(finding)
  }
  for (let from = 0; from < text.length; from += SLICE_CHARACTERS) {
    pieces.push(stream.push(text.slice(from, from + SLICE_CHARACTERS)))
    take()
    await pace.rest()
  }
  pieces.push(stream.end())
  take()
  return { text: pieces.join(''), findings }
}
