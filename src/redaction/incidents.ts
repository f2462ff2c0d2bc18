/**
 * Incidents: one row and one event for each finding. The value is kept sealed, and only while the vault is open. Its keyed
 * hash makes the same value recognisable within this database and tells nothing outside it: the key is not in the
 * database (`db/seal.ts`).
 */
import { createHmac } from 'node:crypto'
import { isoTime } from '../clock.ts'
import type { Database } from '../db/database.ts'
import { incidentTable } from '../db/incidents.ts'
import type { EventData, PiiType } from '../events.ts'
import { newIncidentId } from '../ids.ts'
import { singular } from '../state/figures.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Finding } from './match.ts'

export interface FindingOrigin {
  agentId: string
  callId: string | null
  place: EventData['pii.found']['place']
}

const PLACES = {
  reply: 'reply',
  tool_arguments: 'tool arguments',
  request: 'request',
  output: 'output',
  log: 'a log line',
} as const

/** As many findings in requests are remembered. */
const MOST_REQUESTS = 10_000

export type SealOriginal = (incidentId: string, value: string) => Buffer | undefined

export class Incidents {
  readonly #state: StateManager
  readonly #table: ReturnType<typeof incidentTable>
  readonly #key: Buffer
  readonly #sealOriginal: SealOriginal
  readonly #requests = new Set<string>()

  /** `sealOriginal`: what the row keeps of a value; undefined for nothing. (Default: nothing.) */
  constructor(database: Database, state: StateManager, sealOriginal: SealOriginal = () => undefined) {
    this.#state = state
    this.#sealOriginal = sealOriginal
    this.#table = incidentTable(database)
    this.#key = database.deriveKey('incident hash')
  }

  record(
    { type, risk, action, start, end, value, replacement }: Finding,
    { agentId, callId, place }: FindingOrigin,
  ): void {
    const hash = createHmac('sha256', this.#key).update(value).digest('hex')
    if (place === 'request' && this.#isKnown(`${agentId} ${action} ${hash}`)) return
    const id = newIncidentId()
    const original = this.#sealOriginal(id, value)
    const unit = this.#unitOf(agentId)
    const where = unit ? `${PLACES[place]} of ${unit}` : PLACES[place]
    const what = action === 'warn' ? 'left in place (warn)' : action === 'block' ? 'blocked' : replacement
    this.#state.record(
      {
        type: 'pii.found',
        level: severityOf(type) === 'CRITICAL' ? 'CRIT' : 'WARN',
        agent_id: agentId,
        message: `${type.toUpperCase()} in ${where} → ${what}`,
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
        },
      },
      () =>
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
        }),
    )
  }

  /** Each request holds the whole conversation again: what is in it is one incident, not one a call. */
  #isKnown(request: string): boolean {
    if (this.#requests.has(request)) return true
    if (this.#requests.size >= MOST_REQUESTS) this.#requests.clear()
    this.#requests.add(request)
    return false
  }

  /** "lead 67": the unit of work the agent is at, when it reports progress. */
  #unitOf(agentId: string): string | null {
    const progress = this.#state.read().agents[agentId]?.progress
    return progress ? `${singular(progress.unit)} ${progress.done + 1}` : null
  }
}

const severityOf = (type: PiiType): 'CRITICAL' | 'WARN' => (type === 'phone' || type === 'ip' ? 'WARN' : 'CRITICAL')
