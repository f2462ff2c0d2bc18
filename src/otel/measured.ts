/** Makes metrics of agents' own measurements. Values that an agent cannot know are marked as claims by their names. */
import type { ReceivedPoint } from '../core/events.ts'
import { type DataPoint, type Gauge, isClaim, type Metric } from './metrics.ts'
import type { Attributes } from './span.ts'

/** `attributes`: with those of the agent. */
export type Measured = Omit<ReceivedPoint, 'attributes'> & { attributes: Attributes }

const CLAIMED = 'iron_cage.claimed.'

/** Each metric once, with its points in their order. */
export function metricsOf(measured: readonly Measured[]): (Metric | Gauge)[] {
  const keyOf = ({ name, unit, kind, cumulative, monotonic, bounds, ...point }: Measured): string =>
    JSON.stringify([name, unit, kind, cumulative, monotonic, bounds, kind === 'gauge' ? point.measured_at : ''])
  return [...Map.groupBy(measured, keyOf).values()].map(metricOf)
}

function metricOf(points: readonly Measured[]): Metric | Gauge {
  const { name, unit, kind, cumulative, monotonic, bounds, measured_at } = points[0]!
  const identity = { name: isClaim(name, unit) ? CLAIMED + name : name, description: '', unit }
  if (kind === 'gauge') {
    const values = points.map(({ attributes, value }) => ({ attributes, value }))
    return { ...identity, atMs: Date.parse(measured_at), values }
  }
  const counted = { ...identity, isDelta: !cumulative, points: points.map(dataPointOf) }
  return kind === 'histogram' ? { ...counted, bounds } : { ...counted, mayFall: !monotonic }
}

const dataPointOf = ({ attributes, started_at, measured_at, value, counts }: Measured): DataPoint => ({
  attributes,
  startMs: started_at === null ? 0 : Date.parse(started_at),
  atMs: Date.parse(measured_at),
  count: counts.reduce((sum, count) => sum + count, 0),
  sum: value,
  buckets: counts,
})

/**
 * The content of a stored point, if it is of its form; undefined for another one. A runtime may be of another version,
 * or broken.
 */
export function soundPoint(point: ReceivedPoint): ReceivedPoint | undefined {
  const { name, unit, kind, started_at, measured_at, value, bounds, counts, attributes } = point
  const isSound =
    [name, unit].every((text) => typeof text === 'string' && text.length <= MAX_NAME) &&
    KINDS.has(kind) &&
    [started_at ?? measured_at, measured_at].every((at) => Date.parse(at) >= 0) &&
    [bounds, counts].every((list) => Array.isArray(list) && list.length <= MAX_LIST) &&
    [value, ...bounds, ...counts].every((number) => Number.isFinite(number)) &&
    counts.length === (kind === 'histogram' ? bounds.length + 1 : 0) &&
    typeof attributes === 'object' &&
    attributes !== null
  return isSound ? point : undefined
}

const MAX_NAME = 200
const MAX_LIST = 64
const KINDS: ReadonlySet<unknown> = new Set(['gauge', 'sum', 'histogram'] satisfies ReceivedPoint['kind'][])
