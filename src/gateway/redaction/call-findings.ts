/**
 * The findings of one call's request or reply: counted, compared with those that are known, recorded as incidents, and
 * whether the policy blocks one of them.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PiiBlockedError } from '../../core/errors.ts'
import type { PiiType } from '../../core/events.ts'
import type { AgentId, CallId, RunId } from '../../core/ids.ts'
import type { TextPlace } from '../../dialects/texts.ts'
import { Findings } from '../../redaction/findings.ts'
import type { Incidents } from '../../redaction/incidents.ts'
import type { Finding } from '../../redaction/text/match.ts'

/** The redacted text. */
export type RedactedSide = 'reply' | 'request'

export type Place = TextPlace | 'request'

/** The findings of another thread. */
export interface Found {
  count: number
  blocked: PiiType[]
  places: [place: Place, found: Pick<Findings, 'counts' | 'kept'>][]
}

/** The call that is redacted. `id` is null when it is not metered. */
export interface RedactedCall {
  id: CallId | null
  caller: { agentId: AgentId; runId: RunId | null }
  /** The request. (Default: unknown.) */
  body?: { json(): string } | undefined
}

export interface IncidentStore {
  incidents: Pick<Incidents, 'recordAll' | 'newInRequest'>
  /** Findings that are kept whole. (Default: as many as have an incident.) */
  maxKept?: number
}

/** Findings compared per slice: each is hashed. */
const COMPARED_AT_ONCE = 100
const MAX_SEEN = 1_000

export class CallFindings {
  /** Findings so far. */
  count = 0
  readonly #store: IncidentStore
  readonly #call: RedactedCall
  readonly #subject: RedactedSide
  readonly #blocked = new Set<PiiType>()
  /** Findings so far, for texts that are repeated. */
  readonly #seen = new Set<string>()
  /** Findings since the last `report`. */
  readonly #found = new Map<Place, Findings>()
  #hasReported = false

  constructor(store: IncidentStore, call: RedactedCall, subject: RedactedSide) {
    this.#store = store
    this.#call = call
    this.#subject = subject
  }

  add(findings: readonly Finding[], textPlace: Place): void {
    this.count += findings.length
    for (const finding of findings) {
      if (finding.action === 'block') this.#blocked.add(finding.type)
      this.#remember(finding)
    }
    const isRequest = this.#subject === 'request'
    const unseen = isRequest ? this.#store.incidents.newInRequest(findings, this.#call.caller.agentId) : findings
    if (unseen.length > 0) this.#foundAt(isRequest ? 'request' : textPlace).add(unseen)
  }

  isSeen(finding: Finding): boolean {
    return this.#seen.has(nameOf(finding))
  }

  /** Records the findings so far. */
  report(): void {
    const { caller, id: callId } = this.#call
    for (const [place, found] of this.#found) {
      this.#store.incidents.recordAll(found, { agentId: caller.agentId, callId, place })
    }
    this.#found.clear()
    this.#hasReported = true
  }

  /** Records the first finding of a stream at once; the others are recorded together at its end. */
  reportFirst(): void {
    if (!this.#hasReported) this.report()
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
      const unseen = place === 'request' ? await this.#unseen(kept) : kept.filter((one) => !this.isSeen(one))
      if (unseen.length === 0) continue
      // Findings that were not compared count as new if most others are.
      if (unseen.length > kept.length / 2) {
        this.#foundAt(place).merge({ counts: without(counts, kept, unseen), kept: unseen })
      } else this.#foundAt(place).add(unseen)
      for (const finding of unseen) this.#remember(finding)
    }
  }

  async #unseen(findings: readonly Finding[]): Promise<Finding[]> {
    const unseen: Finding[] = []
    for (let from = 0; from < findings.length; from += COMPARED_AT_ONCE) {
      const some = findings.slice(from, from + COMPARED_AT_ONCE)
      unseen.push(...this.#store.incidents.newInRequest(some, this.#call.caller.agentId))
      await nextTurn()
    }
    return unseen
  }

  #remember(finding: Finding): void {
    if (this.#seen.size < MAX_SEEN) this.#seen.add(nameOf(finding))
  }

  #foundAt(place: Place): Findings {
    const found = this.#found.get(place) ?? new Findings([], this.#store.maxKept)
    this.#found.set(place, found)
    return found
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
