/**
 * Sends traces of all machines to a collector of OpenTelemetry: the spans that a runtime makes itself, of the events that it
 * reported, with the same ids.
 *
 * The rules are:
 * - The stored events are the buffer. One process of the panel sends at a time, and any sends what another one did not.
 * - Each span is sent at least once. Events deleted before are reported as lost.
 * - Only attributes that a runtime's own exporter has are sent. A runtime's reports are not trusted to have the right
 *   form.
 * - No metrics of calls: they count the calls of one process, and runtimes send their own. Agents' own measurements are
 *   sent. Those of the fleet are the `FleetMeter`'s.
 */

import type { AgentId } from '../../core/ids.ts'
import { RepeatingTask } from '../../core/repeating-task.ts'
import { showCount } from '../../core/units.ts'
import { telemetryNameOf } from '../../dialects/known-providers.ts'
import { type Batch, Collector, type CollectorOptions } from '../../otel/collector.ts'
import { type Measured, metricsOf } from '../../otel/measured.ts'
import type { Attributes, AttributeValue, Span } from '../../otel/span.ts'
import { type Run, TRACED_EVENTS, Tracer } from '../../otel/tracer.ts'
import { isClient, type Snapshot } from '../../state/snapshot.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { type DueExport, type ExportProgress, ExportStore, type StoredExport } from './export-store.ts'
import type { GaugeParts } from './fleet-gauges.ts'
import { FleetMeter } from './fleet-meter.ts'
import { resourceOf } from './machine-resource.ts'

export interface FleetExporterOptions extends Pick<CollectorOptions, 'settings' | 'network' | 'version' | 'clock'> {
  database: PanelDatabase
  parts: GaugeParts
  onNotice: (text: string) => void
}

/** Events of one message. */
const PAGE = 2_000
/** Of these, each of many ledgers has its share. */
const MIN_SHARE = 10
const POLL_INTERVAL_MS = 1_000
/** Of one event: a service call with its attempts. */
const MAX_SPANS = 20
const MAX_ATTRIBUTES = 64
const MAX_TEXT = 1_000

export class FleetExporter {
  readonly #options: FleetExporterOptions
  readonly #store: ExportStore
  readonly #collector: Collector
  readonly #task: RepeatingTask
  readonly #meter: FleetMeter
  readonly #abort = new AbortController()

  constructor(options: FleetExporterOptions) {
    const { database, clock, parts, onNotice } = options
    this.#options = options
    this.#store = new ExportStore(database)
    this.#collector = new Collector({ ...options, log: { info: onNotice, warn: onNotice } })
    this.#task = new RepeatingTask(clock, async () => {
      await this.#store.begin()
      const isMore = await database.exclusively('export', (sql) => this.#sendPage(sql))
      return isMore ? 0 : POLL_INTERVAL_MS
    })
    this.#meter = new FleetMeter({ parts, database, clock, collector: this.#collector })
  }

  /** The rest is sent by another process, or the next one. */
  async close(): Promise<void> {
    this.#abort.abort()
    await this.#task.stop()
    await this.#meter.close()
    await this.#collector.close()
  }

  /** Returns whether there is more. Rejects when the collector or the database cannot be used now. */
  async #sendPage(sql: Sql): Promise<boolean> {
    const due = await this.#store.due(sql)
    if (due.length === 0) return false
    const share = Math.max(MIN_SHARE, Math.floor(PAGE / due.length))
    const events = Map.groupBy(await this.#store.events(sql, due, TRACED_EVENTS, share), keyOf)
    const pages = due.map((ledger) => pageOf(ledger, events.get(keyOf(ledger)) ?? [], share))
    const batches = pages.map(({ batch }) => batch)
    await this.#collector.send(batches, this.#abort.signal)
    const progress = pages.map((page) => page.progress)
    await this.#store.advance(sql, progress, this.#options.clock.now())
    const lost = due.reduce((sum, ledger) => sum + ledger.lost, 0)
    if (lost > 0) {
      this.#options.onNotice(`OpenTelemetry: ${showCount(lost)} events were deleted before they could be sent`)
    }
    return due.some(({ stored_seq }, index) => progress[index]!.exported_seq < stored_seq)
  }
}

const keyOf = ({ runtime_id, journal_id }: Pick<DueExport, 'runtime_id' | 'journal_id'>): string =>
  `${runtime_id} ${journal_id}`

/** The next events of a ledger, and the position after them. */
export function pageOf(
  ledger: DueExport,
  events: readonly StoredExport[],
  share: number,
): { batch: Batch; progress: ExportProgress } {
  const { runtime_id, organization_id, journal_id, name, organization, sent_until, lost, erasures } = ledger
  const runs = runsOf(ledger)
  const tracer = new Tracer({ findAgent: () => undefined, providerName: telemetryNameOf, runs })
  const isNew = ({ at }: StoredExport): boolean => sent_until === null || at > sent_until
  const spans = events.flatMap((event) => {
    const made = safeSpans(tracer, event)
    return isNew(event) ? made : []
  })
  const measured = events
    .filter(isNew)
    .map((event) => safeMeasured(tracer, event))
    .filter((point) => point !== undefined)
  const haveChanged = ledger.runs === null || events.some(({ type }) => type === 'agent.started')
  return {
    batch: {
      resource: resourceOf({ runtime_id, name, organization }),
      spans,
      metrics: metricsOf(measured),
    },
    progress: {
      ...{ runtime_id, organization_id, journal_id, lost, erasures },
      exported_seq: Math.min(ledger.exported_seq + share, ledger.stored_seq),
      runs: haveChanged ? JSON.stringify([...runs]) : null,
    },
  }
}

/** At first those of a kept state: their starts may have been deleted. */
function runsOf({ runs, snapshot }: DueExport): Map<AgentId, Run> {
  if (runs !== null) return new Map(JSON.parse(runs) as [AgentId, Run][])
  const { agents = {} } = snapshot === null ? {} : (JSON.parse(snapshot) as Partial<Snapshot>)
  return new Map(
    Object.values(agents)
      .filter((agent) => !isClient(agent))
      .map(({ id, run_id, name, started_at, tags }) => [id, { id: run_id, name, startedAt: started_at, tags }]),
  )
}

/** Spans of an event, with the fields of the right type. A runtime may be of another version, or broken. */
function safeSpans(tracer: Tracer, event: StoredExport): Span[] {
  try {
    return tracer
      .spansOf(event)
      .slice(0, MAX_SPANS)
      .filter(({ startMs, endMs }) => [startMs, endMs].every((ms) => Number.isSafeInteger(Math.round(ms)) && ms >= 0))
      .map((span) => ({
        ...span,
        name: textOf(span.name),
        attributes: safeAttributes(span.attributes),
        error: span.error === undefined ? undefined : textOf(span.error),
      }))
  } catch {
    return []
  }
}

/** An agent's measurement, likewise. */
function safeMeasured(tracer: Tracer, event: StoredExport): Measured | undefined {
  try {
    const point = tracer.measuredOf(event)
    return point && { ...point, attributes: safeAttributes(point.attributes) }
  } catch {
    return undefined
  }
}

const textOf = (text: unknown): string => String(text).slice(0, MAX_TEXT)

function safeAttributes(attributes: Attributes): Attributes {
  const safe = Object.entries(attributes).flatMap(([key, value]): [string, AttributeValue][] => {
    if (typeof value === 'string') return [[key.slice(0, MAX_TEXT), textOf(value)]]
    if (typeof value === 'boolean' || (value !== undefined && isNumber(value))) return [[key, value]]
    return []
  })
  return Object.fromEntries(safe.slice(0, MAX_ATTRIBUTES))
}

const isNumber = (value: Exclude<AttributeValue, string | boolean>): boolean =>
  typeof value === 'object' && ('int' in value ? Number.isSafeInteger(value.int) : Number.isFinite(value.double))
