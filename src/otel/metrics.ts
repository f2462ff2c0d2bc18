/**
 * The metrics of GenAI clients, counted from events since this process began. Names, units and bounds are those of
 * OpenTelemetry's semantic conventions (gen-ai/gen-ai-metrics).
 */
import type { RuntimeEvent } from '../core/events.ts'
import type { Attributes } from './span.ts'

export interface DataPoint {
  attributes: Attributes
  /** Milliseconds since 1970: since when it counts, and until when. */
  startMs: number
  atMs: number
  count: number
  sum: number
  /** One more than there are bounds. Empty for a sum. */
  buckets: number[]
}

export interface Metric {
  name: string
  description: string
  unit: string
  /** Of a histogram; a metric without them is a sum. */
  bounds?: readonly number[]
  points: readonly DataPoint[]
}

/** Agents choose the names of models: further combinations of attributes are counted without them. */
const MAX_POINTS = 1_000

type Instrument = 'tokens' | 'duration' | 'cost'

const FOUR_TIMES = Array.from({ length: 14 }, (_, power) => 4 ** power)
const TWICE = Array.from({ length: 14 }, (_, power) => 0.01 * 2 ** power)

const INSTRUMENTS: Record<Instrument, Omit<Metric, 'points'>> = {
  tokens: {
    name: 'gen_ai.client.token.usage',
    description: 'Tokens read and written by models',
    unit: '{token}',
    bounds: FOUR_TIMES,
  },
  duration: {
    name: 'gen_ai.client.operation.duration',
    description: 'Duration of calls of models',
    unit: 's',
    bounds: TWICE,
  },
  cost: { name: 'iron_cage.cost', description: 'Charged for calls of models and services', unit: 'USD' },
}

export class Metrics {
  readonly #points = new Map<string, DataPoint & { instrument: Instrument }>()
  readonly #startMs: number
  /** True when something was counted since `read`. */
  hasChanged = false

  constructor(startMs: number) {
    this.#startMs = startMs
  }

  /** `providerName`: a provider's name in OpenTelemetry. */
  note(event: RuntimeEvent, providerName: (name: string) => string): void {
    if (event.type === 'service.called') {
      const { service, cost_usd } = event.data
      this.#add('cost', { 'gen_ai.tool.name': service }, Number(cost_usd))
    }
    if (event.type !== 'call.completed' && event.type !== 'call.failed') return
    const { provider, model, latency_ms, cost_usd } = event.data
    const labels = { 'gen_ai.provider.name': providerName(provider), 'gen_ai.request.model': model }
    const failed = event.type === 'call.failed' ? { 'error.type': event.data.code } : {}
    this.#add('duration', { ...labels, ...failed }, latency_ms / 1000)
    this.#add('cost', labels, Number(cost_usd))
    if (event.type === 'call.failed') return
    this.#add('tokens', { ...labels, 'gen_ai.token.type': 'input' }, event.data.input_tokens)
    this.#add('tokens', { ...labels, 'gen_ai.token.type': 'output' }, event.data.output_tokens)
  }

  read(atMs: number): Metric[] {
    this.hasChanged = false
    return Object.entries(INSTRUMENTS).flatMap(([key, instrument]) => {
      const points = [...this.#points.values()].filter((point) => point.instrument === key)
      return points.length === 0 ? [] : [{ ...instrument, points: points.map((point) => ({ ...point, atMs })) }]
    })
  }

  #add(instrument: Instrument, attributes: Attributes, value: number): void {
    const point = this.#pointOf(instrument, attributes)
    const { bounds } = INSTRUMENTS[instrument]
    point.count += 1
    point.sum += value
    if (bounds) {
      const bucket = bounds.findIndex((bound) => value <= bound)
      point.buckets[bucket < 0 ? bounds.length : bucket]! += 1
    }
    this.hasChanged = true
  }

  #pointOf(instrument: Instrument, attributes: Attributes): DataPoint {
    const key = JSON.stringify([instrument, attributes])
    const known = this.#points.get(key)
    if (known) return known
    const isFull = this.#points.size >= MAX_POINTS && Object.keys(attributes).length > 0
    if (isFull) return this.#pointOf(instrument, {})
    const { bounds } = INSTRUMENTS[instrument]
    const buckets = bounds ? Array.from({ length: bounds.length + 1 }, () => 0) : []
    const point = { instrument, attributes, startMs: this.#startMs, atMs: this.#startMs, count: 0, sum: 0, buckets }
    this.#points.set(key, point)
    return point
  }
}
