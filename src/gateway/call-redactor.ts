/**
 * The redactor on the road of one call: one continuous state for each channel of a reply (a choice, a tool call, a
 * content block), an incident for each finding, and the memory of whether the policy wants the reply blocked.
 * Fails closed: when redaction itself fails, nothing of the reply leaves.
 */
import { CageError, PiiBlockedError } from '../errors.ts'
import type { PiiType } from '../events.ts'
import type { Incidents } from '../redaction/incidents.ts'
import type { Finding } from '../redaction/match.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { StreamRedactor } from '../redaction/stream-redactor.ts'
import type { LlmCall } from './call.ts'
import type { RedactPieces, TextPlace } from './providers/provider.ts'

export interface RedactionParts {
  redactor: Redactor
  incidents: Incidents
}

export class CallRedactor implements RedactPieces {
  /** Findings so far. */
  count = 0
  readonly #parts: RedactionParts
  readonly #call: LlmCall
  readonly #channels = new Map<string, { stream: StreamRedactor; place: TextPlace; noted: number }>()
  readonly #blocked = new Set<PiiType>()

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
    const open = this.#channels.get(channel) ?? { stream: this.#parts.redactor.stream(), place, noted: 0 }
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

  /** Ends what is open, for what was found and never told; its text goes nowhere. Must not throw: it ends a failure. */
  close(): void {
    for (const channel of [...this.#channels.keys()]) {
      try {
        this.end(channel)
      } catch {
        // The fault that broke the redactor was told when it first threw.
      }
    }
  }

  /** Throws PiiBlockedError when the policy wants this reply blocked. */
  requireUnblocked(): void {
    if (this.#blocked.size > 0) throw new PiiBlockedError([...this.#blocked])
  }

  #isCovered(place: TextPlace): boolean {
    return this.#parts.redactor.covers(place === 'reply' ? 'replies' : 'tool_arguments')
  }

  #noteNew(open: { stream: StreamRedactor; place: TextPlace; noted: number }): void {
    const { findings } = open.stream
    if (findings.length === open.noted) return
    this.#note(findings.slice(open.noted), open.place)
    open.noted = findings.length
  }

  #note(findings: readonly Finding[], place: TextPlace): void {
    for (const finding of findings) {
      this.count += 1
      if (finding.action === 'block') this.#blocked.add(finding.type)
      this.#parts.incidents.record(finding, { agentId: this.#call.caller.agentId, callId: this.#call.id, place })
    }
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
