/**
 * The redactor on the road of one call: one continuous state for each channel of a reply (a choice, a tool call, a
 * content block), what was found, and the memory of whether the policy wants the reply blocked.
 * Fails closed: when redaction itself fails, nothing of the reply leaves.
 */

import type { RedactPieces, TextPlace } from '../dialects/dialect.ts'
import { CageError, PiiBlockedError } from '../errors.ts'
import type { PiiType } from '../events.ts'
import { Findings } from '../redaction/findings.ts'
import type { Incidents } from '../redaction/incidents.ts'
import type { Finding } from '../redaction/match.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { StreamRedactor } from '../redaction/stream-redactor.ts'
import type { LlmCall } from './call.ts'

export interface RedactionParts {
  redactor: Redactor
  incidents: Incidents
}

interface Channel {
  stream: StreamRedactor
  place: TextPlace
}

export class CallRedactor implements RedactPieces {
  /** Findings so far. */
  count = 0
  readonly #parts: RedactionParts
  readonly #call: LlmCall
  readonly #channels = new Map<string, Channel>()
  readonly #blocked = new Set<PiiType>()
  /** What was found since `report`. */
  readonly #found = new Map<TextPlace, Findings>()
  #hasReported = false

  constructor(parts: RedactionParts, call: LlmCall) {
    this.#parts = parts
    this.#call = call
  }

  /** Redacts one whole text. */
  readonly whole = (text: string, place: TextPlace): string => {
    if (!this.#isCovered(place)) return text
    const { text: safe, findings } = failClosed(() => this.#parts.redactor.redact(text))
    this.#note(findings, place)
    return safe
  }

  push(channel: string, piece: string, place: TextPlace): string {
    if (!this.#isCovered(place)) return piece
    const open = this.#channels.get(channel) ?? { stream: this.#parts.redactor.stream(), place }
    this.#channels.set(channel, open)
    const safe = failClosed(() => open.stream.push(piece))
    this.#noteNew(open)
    return safe
  }

  again(text: string, place: TextPlace): string {
    return this.#isCovered(place) ? failClosed(() => this.#parts.redactor.redact(text).text) : text
  }

  end(channel: string): string {
    const open = this.#channels.get(channel)
    if (!open) return ''
    this.#channels.delete(channel)
    const tail = failClosed(() => open.stream.end())
    this.#noteNew(open)
    return tail
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

  /** Ends what is open, for what was found and is not recorded; its text goes nowhere. */
  close(): void {
    for (const channel of [...this.#channels.keys()]) {
      try {
        this.end(channel)
      } catch {
        // The fault that broke the redactor was told when it first threw.
      }
    }
    this.report()
  }

  /** Throws PiiBlockedError when the policy wants this reply blocked. */
  requireUnblocked(): void {
    if (this.#blocked.size > 0) throw new PiiBlockedError([...this.#blocked])
  }

  #isCovered(place: TextPlace): boolean {
    return this.#parts.redactor.covers(place === 'reply' ? 'replies' : 'tool_arguments')
  }

  /** The first finding of a stream is shown at once; the others together, when it ends. */
  #noteNew({ stream, place }: Channel): void {
    if (stream.findings.length === 0) return
    this.#note(stream.findings.splice(0), place)
    if (!this.#hasReported) this.report()
  }

  #note(findings: readonly Finding[], place: TextPlace): void {
    this.count += findings.length
    for (const { action, type } of findings) if (action === 'block') this.#blocked.add(type)
    const found = this.#found.get(place) ?? new Findings()
    this.#found.set(place, found)
    found.add(findings)
  }
}

export function failClosed<T>(redact: () => T, what = 'the reply'): T {
  try {
    return redact()
  } catch (error) {
    throw new CageError('redaction_failed', `${what} could not be checked for personal data, so it was withheld`, {
      cause: error,
    })
  }
}
