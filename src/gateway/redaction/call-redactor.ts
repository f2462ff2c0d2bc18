/**
 * The redactor of one call's request or reply: one continuous state per text, the findings, and whether the policy
 * blocks them. Fails closed: when redaction itself fails, nothing is sent.
 */

import { CageError } from '../../core/errors.ts'
import { withWholeToken } from '../../core/tokens.ts'
import type { Dialect, Piece, Redactions } from '../../dialects/dialect.ts'
import { type Json, type JsonObject, parseReplyJson } from '../../dialects/json.ts'
import { rewriteJson } from '../../dialects/rewrite-json.ts'
import { type Fields, type FoundTokenIds, type Leaf, type TextPlace, TextWalk } from '../../dialects/texts.ts'
import { redactJoined, withEdits } from '../../redaction/joined.ts'
import type { Redactor } from '../../redaction/redactor.ts'
import type { Reading, StreamRedactor } from '../../redaction/stream-redactor.ts'
import { CONTEXT_CHARACTERS, type Cuts, EDGE_CHARACTERS } from '../bodies/cut-texts.ts'
import { Series } from '../replies/series.ts'
import { CallFindings, type Found, type IncidentStore, type RedactedCall, type RedactedSide } from './call-findings.ts'
import { GivenValues } from './given-values.ts'
import { areSealedNumbers, type SealedOriginals } from './sealed-originals.ts'

export interface CallRedaction extends IncidentStore {
  redactor: Redactor
  originals: SealedOriginals
}

interface Channel {
  stream: StreamRedactor
  place: TextPlace
}

export class CallRedactor implements Redactions {
  /** Characters of delivered texts that were cut out (`Cuts`). */
  cutCharacters = 0
  readonly findings: CallFindings
  /** The request, if it is known. */
  readonly asked: RedactedCall['body']
  readonly #redactor: Redactor
  readonly #originals: SealedOriginals
  readonly #subject: RedactedSide
  /** Values that the arguments of tools may contain. */
  readonly #given: GivenValues | undefined
  readonly #channels = new Map<string, Channel>()
  /** The text sent on each channel. */
  readonly #series = new Map<string, Series>()
  /** The long texts of the frame that is read now, which another thread has redacted. */
  #cuts: Cuts | undefined
  /** Texts of the current frame. */
  #texts = 0

  constructor(parts: CallRedaction, call: RedactedCall, subject: RedactedSide = 'reply') {
    this.findings = new CallFindings(parts, call, subject)
    this.#redactor = parts.redactor
    this.#originals = parts.originals
    this.#subject = subject
    this.asked = call.body
    const isPassed = subject === 'reply' && parts.redactor.passesGiven
    this.#given = call.body && isPassed ? new GivenValues(call.body) : undefined
  }

  /** Returns a request's body with every text redacted; the same object when nothing changed. */
  request(body: JsonObject, { fields, signed }: Pick<Dialect, 'fields' | 'signed'>): JsonObject {
    return this.failClosed(() => this.#walk({ ...fields, signed }).change<Json>(body) as JsonObject)
  }

  /** Returns a reply's body, JSON or not, with every text redacted; the same text when nothing changed. */
  body(text: string, fields: Fields): string {
    let value: Json
    try {
      value = parseReplyJson(text) as Json
    } catch {
      return this.whole(text, 'reply')
    }
    return this.reply(text, value, fields)
  }

  /** Like `body`, for a text that is already parsed to `value`. */
  reply(text: string, value: Json, fields: Fields): string {
    return this.failClosed(() => rewriteJson(text, value, this.#walk(fields).change(value)))
  }

  #walk(fields: Fields): TextWalk {
    return new TextWalk(fields, {
      text: (text, { kind, place, label }) =>
        kind === 'blob' ? this.known(text, place, label) : this.whole(text, place, label),
      joined: (parts, place) => this.joined(parts, place),
      tokens: (texts, place) =>
        [...texts.values()].some((text) => this.again(text, place) !== text) ? 'hidden' : undefined,
      tokenIds: (ids, found) => this.tokenIds(ids, found),
      ...(this.#subject === 'reply' && { signature: (original) => this.signature(original) }),
    })
  }

  /** Clients get those sealed that they send back, and no others; tools have integers of their own. In a request they are refused. */
  tokenIds(ids: Json[], { name, place, depth, isReturned }: FoundTokenIds): Json[] {
    if (!this.#isCovered(place)) return ids
    if (this.#subject === 'reply' && place === 'tool_arguments') return ids
    if (this.#subject === 'reply') return isReturned ? this.#originals.sealNumbers(ids) : []
    if (depth > MAX_TOKEN_IDS_DEPTH || areSealedNumbers(ids)) return ids
    throw new CageError('redaction_failed', `"${name}" has token ids, which cannot be checked for personal data`, {
      facts: { field: name },
      hint: 'send the text itself, or take "requests" out of safety.scope',
    })
  }

  signature(original: JsonObject): string {
    return this.#originals.seal(original)
  }

  whole(text: string, place: TextPlace, label?: string): string {
    if (!this.#isCovered(place)) return text
    if (this.#isClean(text)) return this.#withSafeEnd(text, (end) => this.whole(end, place, label))
    const { text: safe, findings } = this.read(text, place, label)
    if (findings.length > 0) this.findings.add(findings, place)
    return safe
  }

  /** Returns a text redacted by itself, with its findings, which are not added to those of the call. */
  read(text: string, place: TextPlace, label?: string): ReturnType<Redactor['redact']> {
    return this.failClosed(() => this.#redactor.redact(text, { label, ...this.#readingAt(place) }))
  }

  /** The arguments of tools are code. */
  #readingAt(place: TextPlace): Reading {
    if (place === 'reply') return {}
    return { isCode: true, isGiven: this.#given && ((type, value) => this.#given!.has(type, value)) }
  }

  /** Returns the end of a text that may be the beginning of a known value. */
  knownStart(text: string): string {
    return this.failClosed(() => this.#redactor.knownStart(text))
  }

  known(text: string, place: TextPlace, label?: string): string {
    if (!this.#isCovered(place) || this.#isClean(text)) return text
    // A value signed by a provider must return to it unchanged.
    const isSigned = this.#subject === 'request' && label === undefined
    if (!isSigned && this.#isSecretAlone(text, place, label)) return this.whole(text, place, label)
    const { text: safe, findings } = this.failClosed(() => this.#redactor.redactKnown(text))
    if (findings.length > 0) this.findings.add(findings, place)
    return safe
  }

  again(text: string, place: TextPlace): string {
    if (!this.#isCovered(place)) return text
    if (this.#isClean(text)) return this.#withSafeEnd(text, (end) => this.again(end, place))
    const { text: safe, findings } = this.read(text, place)
    const unseen = findings.filter((finding) => !this.findings.isSeen(finding))
    if (unseen.length > 0) this.findings.add(unseen, place)
    return safe
  }

  push(channel: string, piece: string, place: TextPlace): Piece {
    this.#countText()
    if (this.#isClean(piece)) return this.#pushClean(channel, piece, place)
    if (!this.#isCovered(place)) return { safe: piece }
    const open = this.#channelOf(channel, place)
    const from = open.stream.length
    this.failClosed(() => open.stream.push(piece))
    this.#noteNew(open)
    return new PieceOf(open.stream, piece, from)
  }

  #channelOf(channel: string, place: TextPlace): Channel {
    let open = this.#channels.get(channel)
    if (open) return open
    if (this.#channels.size === MAX_OPEN_TEXTS)
      throw tooManyTexts(`the reply has more than ${MAX_OPEN_TEXTS} texts at once`)
    open = {
      stream: this.#redactor.stream({ before: this.#series.get(channel)?.joined, ...this.#readingAt(place) }),
      place,
    }
    this.#channels.set(channel, open)
    return open
  }

  /**
   * Reads only both ends of a piece that is clean by itself: with the text before, until what began there has ended, and
   * with the text that follows.
   */
  #pushClean(channel: string, piece: string, place: TextPlace): Piece {
    const mark = this.#cuts!.markIn(piece)
    const start = this.#follow(channel, piece.slice(0, mark.start), place)
    const middle = piece.slice(start.length, mark.end)
    // The part before the mark was read together with the end. The mark keeps the end from looking like a text's start.
    this.#seriesOf(channel).continueFrom(piece.slice(mark.start, mark.end))
    this.cutCharacters += this.#cuts!.lengthIn(middle)
    return joinedPiece([...start.pieces, { safe: middle }, this.push(channel, piece.slice(mark.end), place)])
  }

  /** Reads the start of a text that is clean by itself; returns how much was read, in pieces that are certain. */
  #follow(channel: string, text: string, place: TextPlace): { length: number; pieces: Piece[] } {
    const pieces: Piece[] = []
    if (!this.#channels.has(channel) && this.#seriesOf(channel).joined === '') return { length: 0, pieces }
    const end = Math.min(text.length, EDGE_CHARACTERS)
    for (let length = 0; ; ) {
      pieces.push(this.push(channel, text.slice(length, length + CONTEXT_CHARACTERS), place))
      length += CONTEXT_CHARACTERS
      const { stream } = this.#channels.get(channel)!
      if (length >= end) {
        this.end(channel)
        return { length: Math.min(length, text.length), pieces }
      }
      if (stream.isOpen || stream.heldBack.length >= length) continue
      this.#channels.delete(channel)
      stream.release()
      return { length, pieces }
    }
  }

  #withSafeEnd(text: string, redact: (end: string) => string): string {
    const { end } = this.#cuts!.markIn(text)
    return text.slice(0, end) + redact(text.slice(end))
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
    await this.findings.take(found)
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

  end(channel: string): void {
    const open = this.#channels.get(channel)
    if (!open) return
    this.#channels.delete(channel)
    this.failClosed(() => open.stream.end())
    this.#seriesOf(channel).continueFrom(open.stream.context)
    this.#noteNew(open)
  }

  next(channel: string, text: string, { kind, place, label }: Leaf, isRepeated = false): string {
    this.#countText()
    if (!this.#isCovered(place)) return text
    const series = this.#seriesOf(channel)
    if (series.isLast(text)) return series.lastSafe
    const before = series.add(text)
    // What only its issuer can read continues nothing.
    if (kind === 'blob') series.lastSafe = this.#unlessCompleting([], this.known(text, place, label), text, place)
    else {
      const alone = isRepeated ? this.again(text, place) : this.whole(text, place, label)
      series.lastSafe = this.#unlessCompleting(before, alone, text, place)
    }
    return series.lastSafe
  }

  joined(parts: readonly string[], place: TextPlace): string[] | undefined {
    if (!this.#isCovered(place) || parts.some((part) => this.#isClean(part))) return undefined
    const redact = (text: string) => this.#redactor.redact(text, this.#readingAt(place))
    const joined = this.failClosed(() => redactJoined({ redact }, parts))
    if (joined) this.findings.add(joined.findings, place)
    return joined?.parts
  }

  /** Records the findings at the end of a response. Throws PiiBlockedError when the policy blocks them. */
  judge(): void {
    this.findings.report()
    this.findings.requireUnblocked()
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
    this.findings.report()
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
    if (this.#subject === 'request') return this.#redactor.covers('requests')
    return this.#redactor.covers(place === 'reply' ? 'replies' : 'tool_arguments')
  }

  /** True for a text in the shape of a key, or in a field for one. */
  #isSecretAlone(text: string, place: TextPlace, label: string | undefined): boolean {
    if (text.length > KEY_CHARACTERS) return false
    const { findings } = this.read(text, place, label)
    return findings.some(({ start, end }) => start === 0 && end === text.length)
  }

  /**
   * Returns the safe text, unless it completes what earlier texts began, or most of one of our tokens. Consecutive numbers
   * mean nothing together.
   */
  #unlessCompleting(before: readonly string[], safe: string, text: string, place: TextPlace): string {
    if (safe !== text) return safe
    const head = text.slice(0, CONTEXT_CHARACTERS)
    const isMostOfToken = withWholeToken(head) !== head
    for (const one of isMostOfToken ? ['', ...before] : before) {
      const { findings } = this.read(withWholeToken(one + head), place)
      const completed = findings.find(
        ({ start, end, value }) => (start < one.length || one === '') && end > one.length && /\p{L}/u.test(value),
      )
      if (!completed) continue
      this.findings.add([completed], place)
      return completed.action === 'warn' ? text : completed.replacement
    }
    return text
  }

  /** Reports the first finding of a stream at once; the others together at its end. */
  #noteNew({ stream, place }: Channel): void {
    if (stream.findings.length === 0) return
    this.findings.add(stream.findings.splice(0), place)
    this.findings.reportFirst()
  }

  /** Throws CageError `redaction_failed` for any other error. */
  failClosed<T>(redact: () => T): T {
    try {
      return redact()
    } catch (error) {
      if (error instanceof CageError) throw error
      const what = `the ${this.#subject} could not be checked for personal data, so it was withheld`
      throw new CageError('redaction_failed', what, { cause: error })
    }
  }
}

/** A piece of a channel; it may be asked for long after its channel has ended. */
class PieceOf implements Piece {
  readonly #stream: StreamRedactor
  readonly #text: string
  readonly #from: number

  constructor(stream: StreamRedactor, text: string, from: number) {
    this.#stream = stream
    this.#text = text
    this.#from = from
  }

  get safe(): string | undefined {
    if (this.#stream.certain < this.#from + this.#text.length) return undefined
    return withEdits(this.#text, this.#from, this.#stream.edits)
  }
}

/** Pieces that are one piece for the dialect. */
const joinedPiece = (pieces: readonly Piece[]): Piece => ({
  get safe() {
    const texts = pieces.map(({ safe }) => safe)
    return texts.includes(undefined) ? undefined : texts.join('')
  },
})

const tooManyTexts = (message: string): CageError => new CageError('reply_too_large', message)

/** Texts in one frame: each is read together with the text sent before it, which takes up to 0.1 ms. */
const MAX_TEXTS = 4_096
/** Texts in pieces that have not ended: at the end of a stream they are sent in one turn of the event loop. */
const MAX_OPEN_TEXTS = 1_024
/** Places of texts in one stream: the text sent there is remembered. */
const MAX_SERIES = 65_536
/** Steps to token ids in a request: deeper integers are values that a tool may have. */
const MAX_TOKEN_IDS_DEPTH = 2
/** Maximum length of a key. */
const KEY_CHARACTERS = 512
