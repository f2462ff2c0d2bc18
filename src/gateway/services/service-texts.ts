/**
 * Redacts what agents send to a service and what it answers, by content type: JSON, forms and text. Other types pass as
 * they are, and their calls say so.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { StringDecoder } from 'node:string_decoder'
import type { ServiceConfig } from '../../config/schema.ts'
import { PiiBlockedError } from '../../core/errors.ts'
import type { CallId } from '../../core/ids.ts'
import type { Finding } from '../../redaction/text/match.ts'
import type { Caller } from '../call.ts'
import type { Redaction } from '../road.ts'

/** How a body of some type is read. */
type Kind = 'json' | 'form' | 'text' | 'stream'

/** A piece that is scanned without a pause of other work. */
const PIECE = 65_536

/** Undefined for what is not inspected. */
export function kindOf(headers: IncomingHttpHeaders): Kind | undefined {
  const type = typeOf(headers)
  if (/^utf-?(16|32)/.test(charsetOf(headers))) return undefined
  if (/^application\/(json|[\w.-]+\+json)$/.test(type)) return 'json'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  if (/^(text\/event-stream|application\/(x-ndjson|jsonl))$/.test(type)) return 'stream'
  return /^text\/|^application\/(xml|[\w.-]+\+xml|graphql|yaml|x-yaml)$/.test(type) ? 'text' : undefined
}

const typeOf = ({ 'content-type': type = '' }: IncomingHttpHeaders): string =>
  type.split(';', 1)[0]!.trim().toLowerCase()

const charsetOf = ({ 'content-type': type = '' }: IncomingHttpHeaders): string =>
  (/;\s*charset="?([^";\s]+)/i.exec(type)?.[1] ?? 'utf-8').toLowerCase()

/** Others agree with ASCII, in which personal data is written, and each of their bytes stays itself in Latin 1. */
const encodingOf = (headers: IncomingHttpHeaders): 'utf8' | 'latin1' =>
  /^(utf-?8|us-ascii)$/.test(charsetOf(headers)) ? 'utf8' : 'latin1'

export interface RedactedCall {
  id: CallId
  caller: Caller
  service: ServiceConfig
}

type Direction = ServiceConfig['redact'][number]
const PLACE = { requests: 'request', replies: 'reply' } as const

export class ServiceTexts {
  /** A body was not read although it was to be. */
  isUninspected = false
  readonly #redaction: Pick<Redaction, 'redactor' | 'incidents'>
  readonly #call: RedactedCall

  constructor(redaction: Pick<Redaction, 'redactor' | 'incidents'>, call: RedactedCall) {
    this.#redaction = redaction
    this.#call = call
  }

  covers(direction: Direction): boolean {
    return this.#call.service.redact.includes(direction)
  }

  /** Whether a reply with these headers is redacted. */
  isRedacted(headers: IncomingHttpHeaders): boolean {
    return this.covers('replies') && kindOf(headers) !== undefined
  }

  /** JSON and forms are redacted as a whole; text may have no end. */
  needsWhole = (headers: IncomingHttpHeaders): boolean => {
    const kind = kindOf(headers)
    return this.covers('replies') && (kind === 'json' || kind === 'form')
  }

  /** Throws PiiBlockedError in the mode `block`. */
  async whole(direction: Direction, headers: IncomingHttpHeaders, given: Buffer): Promise<Buffer> {
    if (!this.covers(direction) || given.length === 0) return given
    const kind = kindOf(headers)
    if (kind === undefined) {
      this.isUninspected = true
      return given
    }
    const encoding = encodingOf(headers)
    const text = given.toString(encoding)
    const safe = kind === 'form' ? await this.#form(direction, text) : await this.#text(direction, text)
    // Bytes that are no text of this encoding stay.
    return safe === text ? given : Buffer.from(safe, encoding)
  }

  /** The same for a body that streams: its text is redacted as it comes. */
  async *pieces(headers: IncomingHttpHeaders, beginning: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    if (!this.isRedacted(headers)) {
      this.isUninspected ||= this.covers('replies')
      if (beginning.length > 0) yield beginning
      yield* rest
      return
    }
    const encoding = encodingOf(headers)
    const decoder = new StringDecoder(encoding)
    const stream = this.#redaction.redactor.stream()
    let hasEnded = false
    try {
      for await (const piece of joined(beginning, rest)) {
        const text = stream.push(decoder.write(piece))
        this.#requireUnblocked(stream.findings, 'replies')
        if (text) yield Buffer.from(text, encoding)
      }
      hasEnded = true
      const last = stream.end(decoder.end())
      this.#requireUnblocked(stream.findings, 'replies')
      if (last) yield Buffer.from(last, encoding)
    } finally {
      // One that broke had findings, too.
      if (!hasEnded) stream.end()
      this.#report('replies', stream.findings)
    }
  }

  /** A text message of a WebSocket. Throws PiiBlockedError in the mode `block`. */
  async message(direction: Direction, text: string): Promise<string> {
    return this.covers(direction) ? this.#text(direction, text) : text
  }

  async #text(direction: Direction, text: string): Promise<string> {
    const stream = this.#redaction.redactor.stream()
    let safe = ''
    for (let at = 0; at < text.length; at += PIECE) {
      safe += stream.push(text.slice(at, at + PIECE))
      if (at + PIECE < text.length) await new Promise((resolve) => setImmediate(resolve))
    }
    safe += stream.end()
    this.#record(direction, stream.findings)
    return safe
  }

  /** Values are encoded, so they are redacted one by one. */
  async #form(direction: Direction, text: string): Promise<string> {
    const fields = new URLSearchParams(text)
    const findings: Finding[] = []
    let hasChanged = false
    for (const [name, value] of [...fields]) {
      const redacted = this.#redaction.redactor.redact(value, { label: name })
      findings.push(...redacted.findings)
      hasChanged ||= redacted.text !== value
    }
    this.#record(direction, findings)
    if (!hasChanged) return text
    const pairs = [...fields].map(([name, value]) => [
      name,
      this.#redaction.redactor.redact(value, { label: name }).text,
    ])
    return new URLSearchParams(pairs as [string, string][]).toString()
  }

  /** Throws PiiBlockedError in the mode `block`. */
  #record(direction: Direction, findings: readonly Finding[]): void {
    this.#report(direction, findings)
    this.#requireUnblocked(findings, direction)
  }

  #requireUnblocked(findings: readonly Finding[], direction: Direction): void {
    const blocked = findings.filter(({ action }) => action === 'block').map(({ type }) => type)
    if (blocked.length > 0) throw new PiiBlockedError([...new Set(blocked)], PLACE[direction])
  }

  #report(direction: Direction, findings: readonly Finding[]): void {
    const { agentId } = this.#call.caller
    this.#redaction.incidents.recordAll(findings, { agentId, callId: this.#call.id, place: PLACE[direction] })
  }
}

async function* joined(beginning: Buffer, rest: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield beginning
  yield* rest
}
