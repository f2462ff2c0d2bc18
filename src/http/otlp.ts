/** Traces of OpenTelemetry over HTTP (OTLP), and their answers in the type of the request. */
import type { Context } from 'hono'
import * as z from 'zod'
import type { CageError } from '../core/errors.ts'
import type { ReceivedSpan } from '../core/events.ts'
import { readProtobuf, readTraces, TRACES_JSON } from '../otel/decode.ts'
import { encodePartialSuccess, encodeStatus } from '../otel/encode.ts'
import type { Received } from '../otel/wire.ts'
import { contentTypeOf, givenTypeOf, parseJson, readBytes } from './body.ts'
import type { RouteDoc } from './route.ts'

/** Also of its inflated size. */
const MAX_BYTES = 4 * 1024 * 1024
const PROTOBUF = 'application/x-protobuf'
const JSON_TYPE = 'application/json'
const REJECTED = 'spans without valid ids or times'

/** The documentation of a route that takes traces. */
export const OTLP_DOC = {
  types: [PROTOBUF],
  reply: () =>
    z.object({ partialSuccess: z.object({ rejectedSpans: z.string(), errorMessage: z.string() }).optional() }),
  errors: ['bad_request', 'body_too_large'],
} as const satisfies Partial<RouteDoc>

/** Throws CageError `bad_request` or `body_too_large`. */
export async function readOtlp(context: Context): Promise<Received<ReceivedSpan>> {
  const type = contentTypeOf(context, [JSON_TYPE, PROTOBUF])
  const bytes = await readBytes(context, MAX_BYTES)
  return type === PROTOBUF ? readProtobuf(bytes) : readTraces(parseJson(TRACES_JSON, bytes.toString('utf8')))
}

/** An ExportTraceServiceResponse. */
export function answerOtlp(context: Context, rejected: number): Response {
  if (isProtobuf(context)) return protobuf(context, encodePartialSuccess(rejected, REJECTED), 200)
  const partialSuccess = { rejectedSpans: String(rejected), errorMessage: REJECTED }
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
