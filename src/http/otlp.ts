/** Requests of OTLP over HTTP, and their answers in the type of the request. */
import type { Context } from 'hono'
import * as z from 'zod'
import type { CageError } from '../core/errors.ts'
import type { ReceivedPoint, ReceivedSpan } from '../core/events.ts'
import { readProtobuf, readTraces, TRACES_JSON } from '../otel/decode.ts'
import { METRICS_JSON, readMetrics, readMetricsProtobuf } from '../otel/decode-metrics.ts'
import { encodePartialSuccess, encodeStatus } from '../otel/encode.ts'
import type { Received } from '../otel/wire.ts'
import { contentTypeOf, givenTypeOf, parseJson, readBytes } from './body.ts'
import type { RouteDoc } from './route.ts'

/** Also of its inflated size. */
const MAX_BYTES = 4 * 1024 * 1024
export const PROTOBUF = 'application/x-protobuf'
const JSON_TYPE = 'application/json'

/** One of the two kinds of messages that are taken. */
interface Signal<Item> {
  fromProtobuf: (bytes: Uint8Array) => Received<Item>
  fromJson: (text: string) => Received<Item>
  /** The field for the number left out and the reason. */
  rejectedField: string
  reason: string
}

export const TRACES: Signal<ReceivedSpan> = {
  fromProtobuf: readProtobuf,
  fromJson: (text) => readTraces(parseJson(TRACES_JSON, text)),
  rejectedField: 'rejectedSpans',
  reason: 'spans without valid ids or times',
}

export const METRICS: Signal<ReceivedPoint> = {
  fromProtobuf: readMetricsProtobuf,
  fromJson: (text) => readMetrics(parseJson(METRICS_JSON, text)),
  rejectedField: 'rejectedDataPoints',
  reason: 'points without a valid name, value or time, and those of exponential histograms and summaries',
}

/** The documentation of the route of a signal. */
export const otlpDoc = ({ rejectedField }: Signal<unknown>) =>
  ({
    types: [PROTOBUF],
    reply: () =>
      z.object({
        partialSuccess: z.object({ [rejectedField]: z.string(), errorMessage: z.string() }).optional(),
      }),
    errors: ['bad_request', 'body_too_large'],
  }) as const satisfies Partial<RouteDoc>

/** Throws CageError `bad_request` or `body_too_large`. */
export async function readOtlp<Item>(context: Context, signal: Signal<Item>): Promise<Received<Item>> {
  const type = contentTypeOf(context, [JSON_TYPE, PROTOBUF])
  const bytes = await readBytes(context, MAX_BYTES)
  return type === PROTOBUF ? signal.fromProtobuf(bytes) : signal.fromJson(bytes.toString('utf8'))
}

/** An ExportTraceServiceResponse or ExportMetricsServiceResponse: both have the same fields. */
export function answerOtlp(
  context: Context,
  { rejectedField, reason }: Signal<unknown>,
  { rejected }: Received<unknown>,
): Response {
  if (isProtobuf(context)) return protobuf(context, encodePartialSuccess(rejected, reason), 200)
  const partialSuccess = { [rejectedField]: String(rejected), errorMessage: reason }
  return context.json(rejected === 0 ? {} : { partialSuccess })
}

/** The error as protobuf, for a request of OTLP that is protobuf; undefined for others. */
export function otlpError(context: Context, { message, hint, row }: CageError): Response | undefined {
  if (!context.req.path.startsWith('/v1/') || !isProtobuf(context)) return undefined
  return protobuf(context, encodeStatus(`${message}; ${hint}`), row.status)
}

const isProtobuf = (context: Context): boolean => givenTypeOf(context) === PROTOBUF

const protobuf = (context: Context, body: Uint8Array, status: number): Response => {
  context.header('content-type', PROTOBUF)
  context.status(status as Parameters<Context['status']>[0])
  return context.body(new Uint8Array(body))
}
