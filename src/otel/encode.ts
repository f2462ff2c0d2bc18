/**
 * The messages of OTLP as protobuf. Field numbers are those of opentelemetry-proto 1.x, which never change:
 * collector/trace/v1, collector/metrics/v1, trace/v1, metrics/v1, common/v1, resource/v1.
 */
import { PbfWriter } from 'pbf'
import type { DataPoint, Metric } from './metrics.ts'
import type { Attributes, AttributeValue, Span } from './span.ts'

/** What sends: `resource` names the service, `version` the program. */
export interface Sender {
  resource: Attributes
  version: string
}

/** An ExportTraceServiceRequest. */
export const encodeSpans = ({ resource, version }: Sender, spans: readonly Span[]): Uint8Array =>
  message((request) =>
    request.writeMessage(1, writeSignal, { resource, version, write: writeSpan as Write, items: spans }),
  )

/** An ExportMetricsServiceRequest. */
export const encodeMetrics = ({ resource, version }: Sender, metrics: readonly Metric[]): Uint8Array =>
  message((request) =>
    request.writeMessage(1, writeSignal, { resource, version, write: writeMetric as Write, items: metrics }),
  )

type Write = (item: unknown, pbf: PbfWriter) => void

function message(write: (pbf: PbfWriter) => void): Uint8Array {
  const pbf = new PbfWriter()
  write(pbf)
  return pbf.finish()
}

/** ResourceSpans and ResourceMetrics have the same shape, as have ScopeSpans and ScopeMetrics in them. */
function writeSignal(
  { resource, version, write, items }: Sender & { write: Write; items: readonly unknown[] },
  pbf: PbfWriter,
): void {
  pbf.writeMessage(1, (attributes, resourcePbf) => writeAttributes(1, attributes, resourcePbf), resource)
  pbf.writeMessage(
    2,
    (_, scope) => {
      scope.writeMessage(1, writeScope, version)
      for (const item of items) scope.writeMessage(2, write, item)
    },
    undefined,
  )
}

function writeScope(version: string, pbf: PbfWriter): void {
  writeText(1, 'iron-cage', pbf)
  writeText(2, version, pbf)
}

const SPAN_KINDS = { internal: 1, client: 3 }
const STATUS_ERROR = 2

function writeSpan(span: Span, pbf: PbfWriter): void {
  pbf.writeBytesField(1, span.traceId)
  pbf.writeBytesField(2, span.id)
  if (span.parentId) pbf.writeBytesField(4, span.parentId)
  writeText(5, span.name, pbf)
  pbf.writeVarintField(6, SPAN_KINDS[span.kind])
  pbf.writeFixed64Field(7, nanoseconds(span.startMs))
  pbf.writeFixed64Field(8, nanoseconds(span.endMs))
  writeAttributes(9, span.attributes, pbf)
  if (span.error !== undefined) pbf.writeMessage(15, writeError, span.error)
}

function writeError(why: string, pbf: PbfWriter): void {
  writeText(2, why, pbf)
  pbf.writeVarintField(3, STATUS_ERROR)
}

const CUMULATIVE = 2

function writeMetric(metric: Metric, pbf: PbfWriter): void {
  writeText(1, metric.name, pbf)
  writeText(2, metric.description, pbf)
  writeText(3, metric.unit, pbf)
  pbf.writeMessage(metric.bounds ? 9 : 7, metric.bounds ? writeHistogram : writeSum, metric)
}

/** One that never falls. */
function writeSum({ points }: Metric, pbf: PbfWriter): void {
  for (const point of points) pbf.writeMessage(1, writeNumber, point)
  pbf.writeVarintField(2, CUMULATIVE)
  pbf.writeBooleanField(3, true)
}

function writeNumber(point: DataPoint, pbf: PbfWriter): void {
  pbf.writeFixed64Field(2, nanoseconds(point.startMs))
  pbf.writeFixed64Field(3, nanoseconds(point.atMs))
  pbf.writeDoubleField(4, point.sum)
  writeAttributes(7, point.attributes, pbf)
}

function writeHistogram({ points, bounds = [] }: Metric, pbf: PbfWriter): void {
  for (const point of points) pbf.writeMessage(1, writeBuckets, { point, bounds })
  pbf.writeVarintField(2, CUMULATIVE)
}

function writeBuckets({ point, bounds }: { point: DataPoint; bounds: readonly number[] }, pbf: PbfWriter): void {
  pbf.writeFixed64Field(2, nanoseconds(point.startMs))
  pbf.writeFixed64Field(3, nanoseconds(point.atMs))
  pbf.writeFixed64Field(4, point.count)
  pbf.writeDoubleField(5, point.sum)
  pbf.writePackedFixed64(6, point.buckets)
  pbf.writePackedDouble(7, [...bounds])
  writeAttributes(9, point.attributes, pbf)
}

function writeAttributes(field: number, attributes: Attributes, pbf: PbfWriter): void {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined) pbf.writeMessage(field, writeKeyValue, { key, value })
  }
}

function writeKeyValue({ key, value }: { key: string; value: AttributeValue }, pbf: PbfWriter): void {
  writeText(1, key, pbf)
  pbf.writeMessage(2, writeValue, value)
}

function writeValue(value: AttributeValue, pbf: PbfWriter): void {
  if (typeof value === 'string') writeText(1, value, pbf)
  else if (typeof value === 'boolean') pbf.writeBooleanField(2, value)
  else if ('int' in value) pbf.writeVarintField(3, value.int)
  else pbf.writeDoubleField(4, value.double)
}

/** As bytes: pbf's own strings are wrong for characters above U+1FFFF. */
const writeText = (field: number, text: string, pbf: PbfWriter): void => pbf.writeBytesField(field, Buffer.from(text))

/** Exact to a quarter of a microsecond; the times are of whole milliseconds. */
const nanoseconds = (ms: number): number => ms * 1_000_000

/** An ExportTraceServiceResponse. */
export const encodePartialSuccess = (rejected: number, reason: string): Uint8Array =>
  message((response) => {
    if (rejected === 0) return
    const write = (_: undefined, partial: PbfWriter): void => {
      partial.writeVarintField(1, rejected)
      writeText(2, reason, partial)
    }
    response.writeMessage(1, write, undefined)
  })

/** A google.rpc.Status, which is what OTLP has for an error. */
export const encodeStatus = (text: string): Uint8Array => message((status) => writeText(2, text, status))
