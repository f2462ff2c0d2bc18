/**
 * The redactor on the road of one call: one continuous state for each text of a reply, what was found, and the memory of
 * whether the policy wants the reply blocked. Fails closed: when redaction itself fails, nothing of the reply leaves.
 */
import type { Redactions, TextPlace } from '../dialects/dialect.ts'
import type { Json } from '../dialects/json.ts'
import { writeLargeJson } from '../dialects/large-json.ts'
import { type Fields, type Leaf, TextWalk } from '../dialects/texts.ts'
import { CageError, PiiBlockedError } from '../errors.ts'
import type { PiiType } from '../events.ts'
import { Findings } from '../redaction/findings.ts'
import type { Incidents } from '../redaction/incidents.ts'
import { redactJoined } from '../redaction/joined.ts'
import type { Finding } from '../redaction/match.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { StreamRedactor } from '../redaction/stream-redactor.ts'
import type { LlmCall } from './call.ts'
import { RedactAhead, type TextRedactor } from './redact-large.ts'
import { Series } from './series.ts'

export interface RedactionParts {
  redactor: Redactor
  incidents: Incidents
}

/** What of them a walk over texts needs. */
export interface WalkParts {
  redactor: TextRedactor
  incidents: Pick<Incidents, 'recordAll' | 'newInRequest'>
}

/** For a walk that only collects: nothing was found yet. */
export const NO_INCIDENTS: WalkParts['incidents'] = { recordAll: () => undefined, newInRequest: () => [] }

/** Whose reply it is. `id` is null for what is no metered call. */
export interface RedactedCall {
  id: LlmCall['id'] | null
  caller: LlmCall['caller']
}

interface Channel {
  stream: StreamRedactor
  place: TextPlace
}

export class CallRedactor implements Redactions {
  /** Findings so far. */
  count = 0
  readonly #parts: WalkParts
  readonly #call: RedactedCall
  readonly #channels = new Map<string, Channel>()
  /** What has left of each channel. */
  readonly #series = new Map<string, Series>()
  readonly #blocked = new Set<PiiType>()
  /** What was found, for texts that are repeated. */
  readonly #seen = new Set<string>()
  /** What was found since `report`. */
  readonly #found = new Map<TextPlace, Findings>()
  #hasReported = false

  constructor(parts: WalkParts, call: RedactedCall) {
    this.#parts = parts
    this.#call = call
  }

  /** A body of a reply, which may be no JSON, with every text redacted; the same text when nothing changed. */
  body(text: string, fields: Fields): string {
    let value: Json
    try {
      value = JSON.parse(text)
    } catch {
      return this.whole(text, 'reply')
    }
    return this.reply(text, value, fields)
  }

  /** The same for one that was parsed to `value` already. */
  reply(text: string, value: Json, fields: Fields): string {
    const walk = this.#walk(fields)
    return failClosed(() => {
      const safe = walk.change(value)
      // A name that is there twice was read once.
      return safe === value && namesIn(text) === walk.names ? text : JSON.stringify(safe)
    })
  }

  /** A large reply with every text redacted, written anew; nobody waits for it. */
  async largeReply(value: Json, fields: Fields): Promise<Buffer> {
    const ahead = new RedactAhead(this.#parts.redactor)
    const collector = new CallRedactor({ redactor: ahead, incidents: NO_INCIDENTS }, this.#call)
    failClosed(() => collector.#walk(fields).change(value))
    await ahead.work().catch((error) => failClosed(() => raise(error)))
    const answering = new CallRedactor({ ...this.#parts, redactor: ahead }, this.#call)
    const safe = failClosed(() => answering.#walk(fields).change(value))
    this.count += answering.count
    for (const type of answering.#blocked) this.#blocked.add(type)
    answering.report()
    return writeLargeJson(safe)
  }

  #walk(fields: Fields): TextWalk {
    return new TextWalk(fields, {
      text: (text, { kind, place, label }) =>
        kind === 'blob' ? this.known(text, place) : this.whole(text, place, label),
      joined: (parts, place) => this.joined(parts, place),
      tokens: (texts, place) => texts.some((text) => this.again(text, place) !== text),
    })
  }

  whole(text: string, place: TextPlace, label?: string): string {
    if (!this.#isCovered(place)) return text
    const { text: safe, findings } = failClosed(() => this.#parts.redactor.redact(text, label))
    if (findings.length > 0) this.#note(findings, place)
    return safe
  }

  known(text: string, place: TextPlace): string {
    if (!this.#isCovered(place)) return text
    if (this.#isSecretAlone(text)) return this.whole(text, place)
    const { text: safe, findings } = failClosed(() => this.#parts.redactor.redactKnown(text))
    if (findings.length > 0) this.#note(findings, place)
    return safe
  }

  again(text: string, place: TextPlace): string {
    if (!this.#isCovered(place)) return text
    const { text: safe, findings } = failClosed(() => this.#parts.redactor.redact(text))
    const unseen = findings.filter((finding) => !this.#seen.has(nameOf(finding)))
    if (unseen.length > 0) this.#note(unseen, place)
    return safe
  }

  push(channel: string, piece: string, place: TextPlace): string {
    if (!this.#isCovered(place)) return piece
    let open = this.#channels.get(channel)
    if (!open) {
      open = {
        stream: this.#parts.redactor.stream(this.#series.get(channel)?.joined),
        place,
      }
      this.#channels.set(channel, open)
    }
    const { stream } = open
    const safe = failClosed(() => stream.push(piece))
    this.#noteNew(open)
    return safe
  }

  began(channel: string, text: string): void {
    if (!this.#channels.has(channel)) this.#seriesOf(channel).goOnFrom(text)
  }

  end(channel: string): string {
    const open = this.#channels.get(channel)
    if (!open) return ''
    this.#channels.delete(channel)
    const tail = failClosed(() => open.stream.end())
    this.#seriesOf(channel).goOnFrom(open.stream.context)
    this.#noteNew(open)
    return tail
  }

  next(channel: string, text: string, { kind, place, label }: Leaf, isRepeated = false): string {
    if (!this.#isCovered(place)) return text
    const series = this.#seriesOf(channel)
    if (series.isLast(text)) return series.lastSafe
    const alone =
      kind === 'blob' ? this.known(text, place) : isRepeated ? this.again(text, place) : this.whole(text, place, label)
    series.lastSafe = this.#unlessCompleting(series.add(text), alone, text, place)
    return series.lastSafe
  }

  joined(parts: readonly string[], place: TextPlace): string[] | undefined {
    if (!this.#isCovered(place)) return undefined
    const joined = failClosed(() => redactJoined(this.#parts.redactor, parts))
    if (joined) this.#note(joined.findings, place)
    return joined?.parts
  }

  /** Records what was found so far. */
  report(): void {
    const { caller, id: callId } = this.#call
    for (const [place, found] of this.#found) {
      this.#parts.incidents.recordAll(found, { agentId: caller.agentId, callId, place })
    }
    this.#found.clear()
    this.#hasReported = true
  }

  /** The end of an answer: records what was found. Throws PiiBlockedError when the policy wants it blocked. */
  judge(): void {
    this.report()
    this.requireUnblocked()
  }

  /** Ends what is open, for what was found and is not recorded; its text goes nowhere. */
  close(): void {
    for (const channel of [...this.#channels.keys()]) {
      try {
        this.end(channel)
      } catch {
        // The fault that broke the redactor was reported when it first threw.
      }
    }
    this.report()
  }

  /** Throws PiiBlockedError when the policy wants this reply blocked. */
  requireUnblocked(): void {
    if (this.#blocked.size > 0) throw new PiiBlockedError([...this.#blocked])
  }

  #seriesOf(channel: string): Series {
    let series = this.#series.get(channel)
    if (!series) {
      series = new Series()
      this.#series.set(channel, series)
    }
    return series
  }

  #isCovered(place: TextPlace): boolean {
    return this.#parts.redactor.covers(place === 'reply' ? 'replies' : 'tool_arguments')
  }

  /** A key has the shape of what only its maker can read. */
  #isSecretAlone(text: string): boolean {
    if (text.length > KEY_CHARACTERS) return false
    const { findings } = failClosed(() => this.#parts.redactor.redact(text))
    return findings.some(({ start, end }) => start === 0 && end === text.length)
  }

  /** The safe text, unless it completes what texts before it began. Numbers that follow each other say nothing together. */
  #unlessCompleting(before: readonly string[], safe: string, text: string, place: TextPlace): string {
    if (safe !== text) return safe
    for (const one of before) {
      const { findings } = failClosed(() => this.#parts.redactor.redact(one + text))
      const completed = findings.find(
        ({ start, end, value }) => start < one.length && end > one.length && /\p{L}/u.test(value),
      )
      if (!completed) continue
      this.#note([completed], place)
      return completed.action === 'warn' ? text : completed.replacement
    }
    return text
  }

  /** The first finding of a stream is shown at once; the others together, when it ends. */
  #noteNew({ stream, place }: Channel): void {
    if (stream.findings.length === 0) return
    this.#note(stream.findings.splice(0), place)
    if (!this.#hasReported) this.report()
  }

  #note(findings: readonly Finding[], place: TextPlace): void {
    this.count += findings.length
    for (const finding of findings) {
      if (finding.action === 'block') this.#blocked.add(finding.type)
      if (this.#seen.size < MAX_SEEN) this.#seen.add(nameOf(finding))
    }
    const found = this.#found.get(place) ?? new Findings()
    this.#found.set(place, found)
    found.add(findings)
  }
}

/** How many names of fields stand in JSON: each colon behind a quotation mark, which in a text is escaped. */
function namesIn(text: string): number {
  let count = 0
  for (let colon = text.indexOf(':'); colon >= 0; colon = text.indexOf(':', colon + 1)) {
    let end = colon - 1
    while (WHITE_SPACE.has(text.charCodeAt(end))) end--
    if (text.charCodeAt(end) === 0x22 && text.charCodeAt(end - 1) !== 0x5c) count++
  }
  return count
}

const WHITE_SPACE = new Set([0x20, 0x09, 0x0a, 0x0d])

const nameOf = ({ type, value }: Finding): string => `${type} ${value}`

/** No key is longer. */
const KEY_CHARACTERS = 512
const MAX_SEEN = 1_000

function raise(error: unknown): never {
  throw error
}

export function failClosed<T>(redact: () => T, what = 'the reply'): T {
  try {
    return redact()
  } catch (error) {
    if (error instanceof CageError) throw error
    throw new CageError('redaction_failed', `${what} could not be checked for personal data, so it was withheld`, {
      cause: error,
    })
  }
}
