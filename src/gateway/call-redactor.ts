/**
 * The redactor of one call's request or reply: one continuous state per text, the findings, and whether the policy
 * blocks them. Fails closed: when redaction itself fails, nothing is sent.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Dialect, Redactions } from '../dialects/dialect.ts'
import { type Json, type JsonObject, namesIn } from '../dialects/json.ts'
import { type Fields, type FoundTokenIds, type Kind, type Leaf, type TextPlace, TextWalk } from '../dialects/texts.ts'
import { CageError, PiiBlockedError } from '../errors.ts'
import type { PiiType } from '../events.ts'
import type { AgentId, CallId, RunId } from '../ids.ts'
import { Findings } from '../redaction/findings.ts'
import type { Incidents } from '../redaction/incidents.ts'
import { redactJoined } from '../redaction/joined.ts'
import type { Finding } from '../redaction/match.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { StreamRedactor } from '../redaction/stream-redactor.ts'
import { withWholeToken } from '../tokens.ts'
import { type Cuts, EDGE_CHARACTERS, isLong } from './bodies/cut-texts.ts'
import { areSealedNumbers, type SealedOriginals } from './sealed-originals.ts'
import { Series } from './series.ts'

export interface CallRedaction {
  redactor: Redactor
  incidents: Pick<Incidents, 'recordAll' | 'newInRequest'>
  originals: SealedOriginals
  /** Findings that are kept whole. (Default: as many as have an incident.) */
  maxKept?: number
}

/** What is redacted. */
export type RedactedSide = 'reply' | 'request'

type Place = TextPlace | 'request'

/** The findings of another thread. */
export interface Found {
  count: number
  blocked: PiiType[]
  places: [place: Place, found: Pick<Findings, 'counts' | 'kept'>][]
}

/** Findings compared per slice: each is hashed. */
const COMPARED_AT_ONCE = 100

/** The call that is redacted. `id` is null when it is not metered. */
export interface RedactedCall {
  id: CallId | null
  caller: { agentId: AgentId; runId: RunId | null }
}

interface Channel {
  stream: StreamRedactor
  place: Place
}

export class CallRedactor implements Redactions {
  /** Findings so far. */
  count = 0
  /** Characters of delivered texts that were cut out (`Cuts`). */
  cutCharacters = 0
  readonly #parts: CallRedaction
  readonly #call: RedactedCall
  readonly #subject: RedactedSide
  readonly #channels = new Map<string, Channel>()
  /** What was sent on each channel. */
  readonly #series = new Map<string, Series>()
  readonly #blocked = new Set<PiiType>()
  /** Findings so far, for texts that are repeated. */
  readonly #seen = new Set<string>()
  /** Findings since the last `report`. */
  readonly #found = new Map<Place, Findings>()
  #hasReported = false
  /** What was cut out of the texts that are read now, which another thread has redacted (`longTexts`). */
  #cuts: Cuts | undefined
  /** Texts of the current frame. */
  #texts = 0

  constructor(parts: CallRedaction, call: RedactedCall, subject: RedactedSide = 'reply') {
    this.#parts = parts
    this.#call = call
    this.#subject = subject
  }

  /** Returns a request's body with every text redacted; the same object when nothing changed. */
  request(body: JsonObject, { fields, signed }: Pick<Dialect, 'fields' | 'signed'>): JsonObject {
    return this.#failClosed(() => this.#walk({ ...fields, signed }).change<Json>(body) as JsonObject)
  }

  /** Returns a reply's body, JSON or not, with every text redacted; the same text when nothing changed. */
  body(text: string, fields: Fields): string {
    let value: Json
    try {
      value = JSON.parse(text)
    } catch {
      return this.whole(text, 'reply')
    }
    return this.reply(text, value, fields)
  }

  /** Like `body`, for a text that is already parsed to `value`. */
  reply(text: string, value: Json, fields: Fields): string {
    const walk = this.#walk(fields)
    return this.#failClosed(() => {
      const safe = walk.change(value)
      // With a duplicate name, only one of the two values was read.
      return safe === value && namesIn(text) === walk.names ? text : JSON.stringify(safe)
    })
  }

  #walk(fields: Fields): TextWalk {
    return new TextWalk(fields, {
      text: (text, { kind, place, label }) =>
        kind === 'blob' ? this.known(text, place) : this.whole(text, place, label),
      joined: (parts, place) => this.joined(parts, place),
      tokens: (texts, place) => texts.some((text) => this.again(text, place) !== text),
      tokenIds: (ids, found) => this.tokenIds(ids, found),
      ...(this.#subject === 'reply' && { signature: (original) => this.signature(original) }),
    })
  }

  /** Clients get those sealed that they send back, and no others; tools have integers of their own. In a request they are refused. */
  tokenIds(ids: Json[], { name, place, depth, isReturned }: FoundTokenIds): Json[] {
    if (!this.#isCovered(place)) return ids
    if (this.#subject === 'reply' && place === 'tool_arguments') return ids
    if (this.#subject === 'reply') return isReturned ? this.#parts.originals.sealNumbers(ids) : []
    if (depth > MAX_TOKEN_IDS_DEPTH || areSealedNumbers(ids)) return ids
    throw new CageError('redaction_failed', `"${name}" has token ids, which cannot be checked for personal data`, {
      facts: { field: name },
      hint: 'send the text itself, or take "requests" out of safety.scope',
    })
  }

  signature(original: JsonObject): string {
    return this.#parts.originals.seal(original)
  }

  /**
   * Returns the data of a stream's frame with its long texts redacted; the same value when nothing changed. A finding at
   * the end of a text stays: it may continue in a later frame.
   */
  longTexts(data: Json, fields: Fields): Json {
    const walk = new TextWalk(fields, {
      text: (text, { kind, place, label }) => {
        if (text.length < MIN_CLEANED_CHARACTERS || (!isLong(text) && this.#isReadAgain(text, kind))) return text
        return kind === 'blob' ? this.known(text, place) : this.#allButEnd(text, place, label)
      },
      joined: (parts, place) => (parts.some(isLong) ? this.joined(parts, place) : undefined),
      tokens: (texts, place) => texts.some((text) => isLong(text) && this.again(text, place) !== text),
    })
    return this.#failClosed(() => walk.change(data))
  }

  /** Findings that stay in a text are found again where all of it is read. */
  #isReadAgain(text: string, kind: Kind): boolean {
    if (kind === 'blob') return true
    return this.#failClosed(() => this.#parts.redactor.redact(text)).findings.some(({ action }) => action === 'warn')
  }

  #allButEnd(text: string, place: TextPlace, label: string | undefined): string {
    const { text: safe, findings } = this.#failClosed(() => this.#parts.redactor.redact(text, label))
    const last = findings.at(-1)
    const open = last && this.#openEnd(text, last)
    const noted = open === undefined ? findings : findings.slice(0, -1)
    if (noted.length > 0) this.#note(noted, place)
    return open === undefined ? safe : safe.slice(0, -last!.replacement.length) + open
  }

  /** Returns what is left of a finding at the end of a text: all of it, or of a long one what identifies it. */
  #openEnd(text: string, { start, end, action }: Finding): string | undefined {
    if (end !== text.length || action === 'warn') return undefined
    if (end - start <= MAX_OPEN_CHARACTERS) return text.slice(start)
    const half = MAX_OPEN_CHARACTERS / 2
    const short = text.slice(start, start + half) + text.slice(-half)
    const before = text.slice(Math.max(0, start - CONTEXT_CHARACTERS), start)
    const { findings } = this.#failClosed(() => this.#parts.redactor.redact(before + short))
    const again = findings.at(-1)
    const isSame = again?.start === before.length && again.end === before.length + short.length
    return isSame ? short : undefined
  }

  whole(text: string, place: TextPlace, label?: string): string {
    if (!this.#isCovered(place)) return text
    if (this.#isClean(text)) return withSafeEnd(text, (end) => this.whole(end, place, label))
    const { text: safe, findings } = this.#failClosed(() => this.#parts.redactor.redact(text, label))
    if (findings.length > 0) this.#note(findings, place)
    return safe
  }

  known(text: string, place: TextPlace): string {
    if (!this.#isCovered(place) || this.#isClean(text)) return text
    // What a provider has signed must return to it unchanged.
    if (this.#subject === 'reply' && this.#isSecretAlone(text)) return this.whole(text, place)
    const { text: safe, findings } = this.#failClosed(() => this.#parts.redactor.redactKnown(text))
    if (findings.length > 0) this.#note(findings, place)
    return safe
  }

  again(text: string, place: TextPlace): string {
    if (!this.#isCovered(place)) return text
    if (this.#isClean(text)) return withSafeEnd(text, (end) => this.again(end, place))
    const { text: safe, findings } = this.#failClosed(() => this.#parts.redactor.redact(text))
    const unseen = findings.filter((finding) => !this.#seen.has(nameOf(finding)))
    if (unseen.length > 0) this.#note(unseen, place)
    return safe
  }

  push(channel: string, piece: string, place: TextPlace): string {
    this.#countText()
    if (this.#isClean(piece)) return this.#pushClean(channel, piece, place)
    if (!this.#isCovered(place)) return piece
    let open = this.#channels.get(channel)
    if (!open) {
      if (this.#channels.size === MAX_OPEN_TEXTS)
        throw tooManyTexts(`the reply has more than ${MAX_OPEN_TEXTS} texts at once`)
      open = {
        stream: this.#parts.redactor.stream(this.#series.get(channel)?.joined),
        place,
      }
      this.#channels.set(channel, open)
    }
    const { stream } = open
    const safe = this.#failClosed(() => stream.push(piece))
    this.#noteNew(open)
    return safe
  }

  /** Reads only both ends of a piece that is clean by itself: with the text before, and with the text that follows. */
  #pushClean(channel: string, piece: string, place: TextPlace): string {
    const follows = this.#channels.has(channel) || this.#seriesOf(channel).joined !== ''
    const from = follows ? EDGE_CHARACTERS : 0
    const start = follows ? this.push(channel, piece.slice(0, from), place) + this.end(channel) : ''
    const middle = piece.slice(from, -EDGE_CHARACTERS)
    this.#seriesOf(channel).continueFrom(middle)
    this.cutCharacters += this.#cuts!.lengthIn(middle)
    return start + middle + this.push(channel, piece.slice(-EDGE_CHARACTERS), place)
  }

  #isClean(text: string): boolean {
    return this.#cuts?.isIn(text) === true
  }

  /** True when another thread may clean texts before they are read here: it does not know where they stand. */
  get canBeCleaned(): boolean {
    return this.#isCovered('reply') && this.#isCovered('tool_arguments')
  }

  /** Returns the result of `read` for a frame whose long texts were redacted on another thread, each separately. */
  async cleaned<T>(found: Found, cuts: Cuts, read: () => T): Promise<T> {
    await this.take(found)
    this.#cuts = cuts
    try {
      return read()
    } finally {
      this.#cuts = undefined
    }
  }

  /** Call it before a frame is read. */
  startFrame(): void {
    this.#texts = 0
  }

  #countText(): void {
    if (++this.#texts > MAX_TEXTS) throw tooManyTexts(`a frame of the reply has more than ${MAX_TEXTS} texts`)
  }

  began(channel: string, text: string): void {
    if (!this.#channels.has(channel)) this.#seriesOf(channel).continueFrom(text)
  }

  end(channel: string): string {
    const open = this.#channels.get(channel)
    if (!open) return ''
    this.#channels.delete(channel)
    const tail = this.#failClosed(() => open.stream.end())
    this.#seriesOf(channel).continueFrom(open.stream.context)
    this.#noteNew(open)
    return tail
  }

  next(channel: string, text: string, { kind, place, label }: Leaf, isRepeated = false): string {
    this.#countText()
    if (!this.#isCovered(place)) return text
    const series = this.#seriesOf(channel)
    if (series.isLast(text)) return series.lastSafe
    const alone =
      kind === 'blob' ? this.known(text, place) : isRepeated ? this.again(text, place) : this.whole(text, place, label)
    series.lastSafe = this.#unlessCompleting(series.add(text), alone, text, place)
    return series.lastSafe
  }

  joined(parts: readonly string[], place: TextPlace): string[] | undefined {
    if (!this.#isCovered(place) || parts.some((part) => this.#isClean(part))) return undefined
    const joined = this.#failClosed(() => redactJoined(this.#parts.redactor, parts))
    if (joined) this.#note(joined.findings, place)
    return joined?.parts
  }

  /** Records the findings so far. */
  report(): void {
    const { caller, id: callId } = this.#call
    for (const [place, found] of this.#found) {
      this.#parts.incidents.recordAll(found, { agentId: caller.agentId, callId, place })
    }
    this.#found.clear()
    this.#hasReported = true
  }

  /** Records the findings at the end of a response. Throws PiiBlockedError when the policy blocks them. */
  judge(): void {
    this.report()
    this.requireUnblocked()
  }

  /** Ends open channels, for findings that are not recorded yet; their text is discarded. */
  close(): void {
    for (const channel of [...this.#channels.keys()]) {
      try {
        this.end(channel)
      } catch {
        // The error that broke the redactor was reported when first thrown.
      }
    }
    this.report()
  }

  /** Throws PiiBlockedError when the policy blocks a finding. */
  requireUnblocked(): void {
    if (this.#blocked.size > 0) throw new PiiBlockedError([...this.#blocked], this.#subject)
  }

  /** Returns the findings so far, for `take`. */
  found(): Found {
    return { count: this.count, blocked: [...this.#blocked], places: [...this.#found] }
  }

  /** Adds the findings of another thread. */
  async take({ count, blocked, places }: Found): Promise<void> {
    this.count += count
    for (const type of blocked) this.#blocked.add(type)
    for (const [place, { counts, kept }] of places) {
      const unseen = place === 'request' ? await this.#unseen(kept) : kept.filter((one) => !this.#seen.has(nameOf(one)))
      if (unseen.length === 0) continue
      // Findings that were not compared count as new if most others are.
      if (unseen.length > kept.length / 2) {
        this.#foundAt(place).merge({ counts: without(counts, kept, unseen), kept: unseen })
      } else this.#foundAt(place).add(unseen)
      for (const finding of unseen) if (this.#seen.size < MAX_SEEN) this.#seen.add(nameOf(finding))
    }
  }

  async #unseen(findings: readonly Finding[]): Promise<Finding[]> {
    const unseen: Finding[] = []
    for (let from = 0; from < findings.length; from += COMPARED_AT_ONCE) {
      const some = findings.slice(from, from + COMPARED_AT_ONCE)
      unseen.push(...this.#parts.incidents.newInRequest(some, this.#call.caller.agentId))
      await nextTurn()
    }
    return unseen
  }

  #seriesOf(channel: string): Series {
    let series = this.#series.get(channel)
    if (!series) {
      if (this.#series.size === MAX_SERIES) throw tooManyTexts(`the reply has texts at more than ${MAX_SERIES} places`)
      series = new Series()
      this.#series.set(channel, series)
    }
    return series
  }

  #isCovered(place: TextPlace): boolean {
    if (this.#subject === 'request') return this.#parts.redactor.covers('requests')
    return this.#parts.redactor.covers(place === 'reply' ? 'replies' : 'tool_arguments')
  }

  /** True for a text in the shape of a key, which only its issuer can read. */
  #isSecretAlone(text: string): boolean {
    if (text.length > KEY_CHARACTERS) return false
    const { findings } = this.#failClosed(() => this.#parts.redactor.redact(text))
    return findings.some(({ start, end }) => start === 0 && end === text.length)
  }

  /**
   * Returns the safe text, unless it completes what earlier texts began, or most of one of our tokens. Consecutive numbers
   * mean nothing together.
   */
  #unlessCompleting(before: readonly string[], safe: string, text: string, place: TextPlace): string {
    if (safe !== text) return safe
    const head = text.slice(0, EDGE_CHARACTERS)
    const isMostOfToken = withWholeToken(head) !== head
    for (const one of isMostOfToken ? ['', ...before] : before) {
      const { findings } = this.#failClosed(() => this.#parts.redactor.redact(withWholeToken(one + head)))
      const completed = findings.find(
        ({ start, end, value }) => (start < one.length || one === '') && end > one.length && /\p{L}/u.test(value),
      )
      if (!completed) continue
      this.#note([completed], place)
      return completed.action === 'warn' ? text : completed.replacement
    }
    return text
  }

  /** Reports the first finding of a stream at once; the others together at its end. */
  #noteNew({ stream, place }: Channel): void {
    if (stream.findings.length === 0) return
    this.#note(stream.findings.splice(0), place)
    if (!this.#hasReported) this.report()
  }

  #note(findings: readonly Finding[], textPlace: Place): void {
    this.count += findings.length
    for (const finding of findings) {
      if (finding.action === 'block') this.#blocked.add(finding.type)
      if (this.#seen.size < MAX_SEEN) this.#seen.add(nameOf(finding))
    }
    const isRequest = this.#subject === 'request'
    const unseen = isRequest ? this.#parts.incidents.newInRequest(findings, this.#call.caller.agentId) : findings
    if (unseen.length > 0) this.#foundAt(isRequest ? 'request' : textPlace).add(unseen)
  }

  #foundAt(place: Place): Findings {
    const found = this.#found.get(place) ?? new Findings([], this.#parts.maxKept)
    this.#found.set(place, found)
    return found
  }

  #failClosed<T>(redact: () => T): T {
    try {
      return redact()
    } catch (error) {
      if (error instanceof CageError) throw error
      const what = `the ${this.#subject} could not be checked for personal data, so it was withheld`
      throw new CageError('redaction_failed', what, { cause: error })
    }
  }
}

/** Returns the counts without the findings that were compared and are known. */
function without(
  counts: ReadonlyMap<PiiType, number>,
  compared: readonly Finding[],
  unseen: readonly Finding[],
): Map<PiiType, number> {
  const left = new Map(counts)
  for (const { type } of compared) left.set(type, left.get(type)! - 1)
  for (const { type } of unseen) left.set(type, left.get(type)! + 1)
  return left
}

const nameOf = ({ type, value }: Finding): string => `${type} ${value}`

/** Redacts the end of a text whose rest is redacted. */
const withSafeEnd = (text: string, redact: (end: string) => string): string =>
  text.slice(0, -EDGE_CHARACTERS) + redact(text.slice(-EDGE_CHARACTERS))

/** Length from which a text in a large frame is redacted on another thread; from LONG_CHARACTERS it is also cut. */
const MIN_CLEANED_CHARACTERS = 1_024

const tooManyTexts = (message: string): CageError => new CageError('reply_too_large', message)

/** Texts in one frame: each is read together with what was sent before it, which takes up to 0.1 ms. */
const MAX_TEXTS = 4_096
/** Texts in pieces that have not ended: at the end of a stream they are sent in one turn of the event loop. */
const MAX_OPEN_TEXTS = 1_024
/** Places of texts in one stream: what was sent there is remembered. */
const MAX_SERIES = 65_536
/** A finding at the end of a text is read again with as much of the text before it. */
const CONTEXT_CHARACTERS = 1024
/** Maximum length of such a finding. */
const MAX_OPEN_CHARACTERS = EDGE_CHARACTERS - CONTEXT_CHARACTERS
/** Steps to token ids in a request: deeper integers are values that a tool may have. */
const MAX_TOKEN_IDS_DEPTH = 2
/** Maximum length of a key. */
const KEY_CHARACTERS = 512
const MAX_SEEN = 1_000
