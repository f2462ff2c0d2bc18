/**
 * Incidents: a row for each finding, and one event for all findings of a type in one text; in a text with very many,
 * the first ones have a row and the others are counted. The value is stored sealed, and only while the vault is open.
 * Its keyed hash identifies equal values within this database and reveals nothing outside it: the key is not in the
 * database (`db/seal.ts`).
 */
import { createHmac } from 'node:crypto'
import { isoTime } from '../core/clock.ts'
import type { EventData, NewEvent, PiiType } from '../core/events.ts'
import { type AgentId, type CallId, newIncidentId } from '../core/ids.ts'
import { PII } from '../core/pii-types.ts'
import { showCount } from '../core/units.ts'
import type { Store } from '../db/store.ts'
import { currentUnit } from '../state/figures-text.ts'
import type { StateManager } from '../state/state-manager.ts'
import { Findings } from './findings.ts'
import type { Finding } from './text/match.ts'

export interface FindingOrigin {
  agentId: AgentId
  callId: CallId | null
  place: EventData['pii.found']['place']
}

const PLACES = {
  reply: 'reply',
  tool_arguments: 'tool arguments',
  request: 'request',
  output: 'output',
  log: 'a log line',
} as const

/** Maximum findings in requests that are remembered. */
const MAX_REQUESTS = 10_000

interface NewIncident {
  finding: Finding
  id: string
  hash: string
}

export type SealOriginal = (incidentId: string, value: string) => Buffer | undefined

export class Incidents {
  readonly #state: StateManager
  readonly #table: Store['incidents']
  readonly #key: Buffer
  readonly #sealOriginal: SealOriginal
  readonly #requests = new Set<string>()

  /** `sealOriginal`: the sealed form of a value for its row; undefined to store none. (Default: none.) */
  constructor(store: Store, state: StateManager, sealOriginal: SealOriginal = () => undefined) {
    this.#state = state
    this.#sealOriginal = sealOriginal
    this.#table = store.incidents
    this.#key = store.deriveKey('incident hash')
  }

  /**
   * Records the findings of one text or reply, in one transaction: an event for each type of finding, with their
   * number, and an incident for each finding that was kept.
   */
  recordAll(findings: Iterable<Finding> | Findings, origin: FindingOrigin): void {
    const found = findings instanceof Findings ? findings : new Findings(findings)
    if (found.isEmpty) return
    this.#state.recordAll(
      [...found.counts].map(([type, count]) => {
        const rows = found.kept
          .filter((finding) => finding.type === type)
          .map((finding) => ({ finding, id: newIncidentId(), hash: this.#hashOf(finding) }))
        return {
          event: this.#eventOf(rows[0]!, count, rows.length, origin),
          alongside: () => {
            for (const row of rows) this.#insert(row, origin)
          },
        }
      }),
    )
  }

  /**
   * Returns the new findings: each request repeats the whole conversation, whose findings are one incident, not one per
   * call.
   */
  newInRequest(findings: readonly Finding[], agentId: AgentId): Finding[] {
    return findings.filter((finding) => !this.#isKnown(`${agentId} ${finding.action} ${this.#hashOf(finding)}`))
  }

  #isKnown(request: string): boolean {
    if (this.#requests.has(request)) return true
    if (this.#requests.size >= MAX_REQUESTS) this.#requests.clear()
    this.#requests.add(request)
    return false
  }

  #hashOf({ value }: Finding): string {
    return createHmac('sha256', this.#key).update(value).digest('hex')
  }

  #eventOf({ finding, id, hash }: NewIncident, count: number, kept: number, origin: FindingOrigin): NewEvent {
    const { type, risk, action, start, end, replacement } = finding
    const { agentId, callId, place } = origin
    const unit = currentUnit(this.#state.read().agents[agentId])
    const where = unit ? `${PLACES[place]} of ${unit}` : PLACES[place]
    const what = action === 'warn' ? 'left in place (warn)' : action === 'block' ? 'blocked' : replacement
    return {
      type: 'pii.found',
      level: severityOf(type) === 'CRITICAL' ? 'CRIT' : 'WARN',
      agent_id: agentId,
      message: `${type.toUpperCase()} in ${where} → ${what}${count === 1 ? '' : ` (${showCount(count)} times)`}`,
      data: {
        incident_id: id,
        pii_type: type,
        risk,
        action,
        place,
        call_id: callId,
        value_hash: hash,
        start,
        end,
        unit,
        ...(count === 1 ? {} : { count, incidents: kept }),
      },
    }
  }

  #insert({ finding, id, hash }: NewIncident, { agentId, callId, place }: FindingOrigin): void {
    const { type, action, start, end, value } = finding
    const original = this.#sealOriginal(id, value)
    this.#table.insert({
      id,
      at: isoTime(this.#state.now()),
      agent_id: agentId,
      call_id: callId,
      type,
      severity: severityOf(type),
      action,
      place,
      value_hash: hash,
      start,
      end,
      original: original ? 'sealed' : 'not_kept',
      sealed_original: original ?? null,
    })
  }
}

const severityOf = (type: PiiType): 'CRITICAL' | 'WARN' => (PII[type].risk === 'MEDIUM' ? 'WARN' : 'CRITICAL')
