/**
 * One attempt at a service call: the URL, the headers, the timeout, and what its outcome means. The agent's key for the
 * service is forwarded; our own headers and those of one connection are not.
 *
 * An answer that is complete at once is read as a whole, so that it can be stored, and another can take its place when it
 * breaks. What is longer or slower flows on as it comes.
 */
import type { IncomingHttpHeaders } from 'node:http'
import { pipeline, type Readable } from 'node:stream'
import type { Dispatcher } from 'undici'
import { isBeforeSending, parseRetryAfter } from '../../breaker/retry.ts'
import type { Clock, Timer } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { holdsOwnToken } from '../../core/tokens.ts'
import { decoderFor, isEncoded } from '../bodies/decode.ts'

export interface ServiceAttempt {
  dispatcher: Dispatcher
  clock: Clock
  /** Its name, for errors. */
  service: string
  method: string
  url: URL
  /** As the agent sent them. */
  headers: IncomingHttpHeaders
  /** The server's own key, for a request without one. */
  key: string | undefined
  body: Uint8Array
  /** Timeout until a response begins, of a whole one, and between two pieces of another. */
  timeoutMs: number
  /** Whether the answer is needed as a whole, by its headers. */
  isWhole: (headers: IncomingHttpHeaders) => boolean
  /** Whether the answer is read here, so it must be decoded. */
  isRead: boolean
  /** The client follows redirects through this server. */
  followsRedirects: boolean
  /** Called when an answer begins. */
  onStatus: (status: number) => void
  signal: AbortSignal
}

export interface LiveAnswer {
  status: number
  headers: IncomingHttpHeaders
  /** The whole body, or its beginning. */
  body: Buffer
  /** What follows; undefined for a whole body. It throws AttemptFailed where it breaks, and the signal's reason. */
  rest?: AsyncIterable<Buffer>
}

/** An attempt without a usable response. `message`: a short reason for people. */
export class AttemptFailed extends Error {
  override readonly name = 'AttemptFailed'
  readonly facts: AttemptFacts
  constructor(message: string, facts: AttemptFacts) {
    super(message)
    this.facts = facts
  }
}

interface AttemptFacts {
  /** The error for the agent when nothing else answers. */
  error: CageError
  /** Counts against the service, and a fallback may answer. */
  isOutage: boolean
  /** A retry can do no harm. */
  isRepeatable: boolean
  /** The service's own response, 429 or 5xx. */
  refusal?: LiveAnswer
  /** Retry-After of the service. */
  retryAfterMs?: number | undefined
}

/**
 * Returns a response that is no failure of the service: 2xx, 3xx, 4xx. Throws AttemptFailed, or the signal's reason.
 */
export async function attemptService(attempt: ServiceAttempt): Promise<LiveAnswer> {
  const { url, signal } = attempt
  const deadline = new Deadline(attempt)
  let status: number | undefined
  const failureOf = (error: unknown): unknown => {
    if (error instanceof AttemptFailed) return error
    if (signal.aborted) return signal.reason
    return deadline.hasPassed ? timedOut(attempt, status) : broken(attempt, status, error)
  }
  try {
    const {
      statusCode,
      headers: given,
      body: encoded,
    } = await attempt.dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: attempt.method as Dispatcher.HttpMethod,
      headers: forwardedHeaders(attempt),
      body: attempt.body.length > 0 ? attempt.body : null,
      signal: AbortSignal.any([signal, deadline.signal]),
      // The deadline covers them.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    status = statusCode
    attempt.onStatus(status)
    const hasBody = attempt.method !== 'HEAD' && status !== 204 && status !== 304
    const { headers, body } =
      attempt.isRead && hasBody ? decoded(attempt, given, encoded) : { headers: given, body: encoded }
    if (isRedirect(status) && !attempt.followsRedirects) throw redirected(attempt, status)
    const isRefusal = status === 429 || status >= 500
    const isWhole = isRefusal || attempt.isWhole(headers)
    const { beginning, rest } = await readBeginning(body, { ...attempt, isWhole, streams: isStream(headers) })
    if (isRefusal) throw refused(attempt, { status, headers, body: beginning })
    if (!rest) return { status, headers, body: beginning }
    return { status, headers, body: beginning, rest: paced(rest, deadline, failureOf) }
  } catch (error) {
    throw failureOf(error)
  } finally {
    // A rest begins its own.
    deadline.cancel()
  }
}

/** Some servers compress although `identity` was requested. */
function decoded(
  { service }: Pick<ServiceAttempt, 'service'>,
  { 'content-encoding': encoding, 'content-length': length, ...others }: IncomingHttpHeaders,
  body: Readable,
): { headers: IncomingHttpHeaders; body: Readable } {
  const isRead = isEncoded(encoding)
  if (isRead === false)
    return { headers: { ...others, ...(length !== undefined && { 'content-length': length }) }, body }
  if (isRead) {
    const decoder = decoderFor(encoding, ZLIB_HEADER)
    pipeline(body, decoder, () => {})
    return { headers: others, body: decoder }
  }
  body.on('error', () => {}).destroy()
  const error = new CageError(
    'reply_encoding',
    `${service} encodes its reply as "${encoding}", which is not read here`,
    {
      facts: { service, encoding },
    },
  )
  throw new AttemptFailed('encoding not read', { error, isOutage: false, isRepeatable: false })
}

const ZLIB_HEADER = Buffer.from([0x78])

/** Aborts a response that takes too long. */
class Deadline {
  readonly #gone = new AbortController()
  readonly #clock: Clock
  readonly #ms: number
  #timer: Timer

  constructor({ clock, timeoutMs }: Pick<ServiceAttempt, 'clock' | 'timeoutMs'>) {
    this.#clock = clock
    this.#ms = timeoutMs
    this.#timer = this.#begin()
  }

  get signal(): AbortSignal {
    return this.#gone.signal
  }

  get hasPassed(): boolean {
    return this.#gone.signal.aborted
  }

  /** Allows the same time again. */
  renew(): void {
    this.#timer.cancel()
    this.#timer = this.#begin()
  }

  cancel(): void {
    this.#timer.cancel()
  }

  #begin(): Timer {
    return this.#clock.after(this.#ms, () => this.#gone.abort())
  }
}

/** 2xx, and a WebSocket that is open. */
export const isGood = (status: number | undefined): boolean =>
  status !== undefined && ((status >= 200 && status < 300) || status === 101)

const isRedirect = (status: number): boolean => status >= 300 && status < 400 && status !== 304

/** Types whose pieces are to be seen as they come. */
const isStream = (headers: IncomingHttpHeaders): boolean =>
  /^(text\/event-stream|application\/(x-ndjson|jsonl?-seq|jsonl|stream\+json|grpc))/i.test(
    headers['content-type'] ?? '',
  )

/** Of an answer that is needed as a whole. */
const MAX_WHOLE_BYTES = 16 * 1024 * 1024
/** What the cache stores at most (`breaker/service-cache.ts`). */
const MAX_BEGINNING_BYTES = 1_048_576
/** How long the end of a body is waited for before its beginning is sent. */
const BEGINNING_MS = 100

interface Reading extends Pick<ServiceAttempt, 'service' | 'clock'> {
  isWhole: boolean
  /** The first piece is not waited for. */
  streams: boolean
}

type Piece = IteratorResult<Buffer, unknown>

/** `rest`: undefined where the body has ended. */
async function readBeginning(
  body: AsyncIterable<Buffer>,
  { service, clock, isWhole, streams }: Reading,
): Promise<{ beginning: Buffer; rest: AsyncGenerator<Buffer> | undefined }> {
  const chunks: Buffer[] = []
  let size = 0
  const pieces = body[Symbol.asyncIterator]()
  const late = Promise.withResolvers<undefined>()
  const timer = isWhole ? undefined : clock.after(streams ? 0 : BEGINNING_MS, () => late.resolve(undefined))
  try {
    for (;;) {
      const next: Promise<Piece> = pieces.next()
      const piece = isWhole ? await next : await Promise.race([next, late.promise])
      if (piece?.done) return { beginning: Buffer.concat(chunks), rest: undefined }
      if (piece) {
        chunks.push(piece.value)
        size += piece.value.length
        if (isWhole && size > MAX_WHOLE_BYTES) throw tooLarge({ service })
        if (isWhole || size <= MAX_BEGINNING_BYTES) continue
      }
      return { beginning: Buffer.concat(chunks), rest: following(pieces, piece ? undefined : next) }
    }
  } finally {
    timer?.cancel()
  }
}

/** The pieces that are left, beginning with one that is awaited already. */
async function* following(
  pieces: AsyncIterator<Buffer, unknown>,
  awaited: Promise<Piece> | undefined,
): AsyncGenerator<Buffer> {
  try {
    for (let piece = await (awaited ?? pieces.next()); !piece.done; piece = await pieces.next()) yield piece.value
  } finally {
    await pieces.return?.()
  }
}

async function* paced(
  rest: AsyncIterable<Buffer>,
  deadline: Deadline,
  failureOf: (error: unknown) => unknown,
): AsyncGenerator<Buffer> {
  try {
    deadline.renew()
    for await (const piece of rest) {
      // A slow reader is no fault of the service.
      deadline.cancel()
      yield piece
      deadline.renew()
    }
  } catch (error) {
    throw failureOf(error)
  } finally {
    deadline.cancel()
  }
}

/** The service works, so this counts against nothing. */
function tooLarge({ service }: Pick<ServiceAttempt, 'service'>): AttemptFailed {
  const error = new CageError('reply_too_large', `${service} answered with more than ${MAX_WHOLE_BYTES} bytes`, {
    facts: { service, limit_bytes: MAX_WHOLE_BYTES },
    hint: 'request less at a time',
  })
  return new AttemptFailed('answer too large', { error, isOutage: false, isRepeatable: false })
}

/** A forwarded redirect would lead the agent's own client past the gateway. */
function redirected({ service }: ServiceAttempt, status: number): AttemptFailed {
  const error = new CageError(
    'provider_reply_invalid',
    `${service} answered ${status}, and redirects are not followed`,
    {
      facts: { service, status },
      hint: BASE_URL_HINT,
    },
  )
  return new AttemptFailed(`answered ${status}`, { error, isOutage: false, isRepeatable: false })
}

const BASE_URL_HINT = "check the service's base_url in the configuration, and the network"

export function refused({ service, method, clock }: ServiceAttempt, refusal: LiveAnswer): AttemptFailed {
  const { status, headers } = refusal
  return new AttemptFailed(`answered ${status}`, {
    error: new CageError('provider_unreachable', `${service} answered ${status}`, { facts: { service, status } }),
    isOutage: true,
    // 429 and 503 mean that the request was not processed.
    isRepeatable: IDEMPOTENT.has(method) || status === 429 || status === 503,
    refusal,
    retryAfterMs: parseRetryAfter(headers, clock.now()),
  })
}

/** `status`: undefined until a response began. */
export function timedOut({ service, method, timeoutMs }: ServiceAttempt, status: number | undefined): AttemptFailed {
  const seconds = timeoutMs / 1000
  const error = new CageError('provider_timeout', `${service} did not answer completely within ${seconds} s`, {
    facts: { service, timeout_s: seconds },
    hint: "raise the service's timeout_s if it is only slow",
  })
  const isRepeatable = status === undefined && IDEMPOTENT.has(method)
  return new AttemptFailed(`no answer within ${seconds} s`, {
    error,
    isOutage: true,
    isRepeatable,
  })
}

/** The connection failed, or broke. */
export function broken({ service, method }: ServiceAttempt, status: number | undefined, cause: unknown): AttemptFailed {
  const fault = String((cause as { code?: unknown }).code ?? 'unknown fault')
  const error = new CageError('provider_unreachable', `the connection to ${service} failed (${fault})`, {
    facts: { service, fault },
    hint: BASE_URL_HINT,
    cause,
  })
  return new AttemptFailed(`connection failed (${fault})`, {
    error,
    // A request that undici itself rejects does not count against the service.
    isOutage: fault !== 'UND_ERR_INVALID_ARG' && fault !== 'UND_ERR_NOT_SUPPORTED',
    isRepeatable: status === undefined && (IDEMPOTENT.has(method) || isBeforeSending(fault)),
  })
}

/** Idempotent methods (RFC 9110, 9.2.2). */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE'])

/** Returns the URL on the service. Throws CageError `bad_request` when the path leaves the base URL. */
export function joinUrl(baseUrl: string, path: string): URL {
  const base = new URL(baseUrl)
  const below = base.pathname.replace(/\/+$/, '')
  const url = URL.parse(`${base.origin}${below}/${path.replace(/^\//, '')}`)
  const isInside = url?.origin === base.origin && url.pathname.startsWith(`${below}/`)
  if (isInside && !hasDotSegment(url.pathname) && !holdsOwnToken(url.href)) return url
  throw new CageError('bad_request', 'the path leads outside the service')
}

/** The URL parser resolved plain dot segments; a server behind may decode the rest, even twice. */
function hasDotSegment(pathname: string): boolean {
  let decoded = pathname
  for (let last = ''; decoded !== last; ) {
    last = decoded
    decoded = decoded.replace(/%(2e|2f|5c|25)/gi, (code) => decodeURIComponent(code))
  }
  return /[/\\]\.{1,2}([/\\]|$)/.test(decoded)
}

/** Removes our own credentials from every header; the service's own key then takes their place. */
export function forwardedHeaders({ headers, key }: ServiceAttempt): Record<string, string | string[]> {
  const kept = endToEnd(headers)
  const tokens = Object.entries(kept).filter(([, value]) => holdsOwnToken(String(value)))
  for (const name of ['host', 'expect', ...tokens.map(([name]) => name)]) delete kept[name]
  // Responses are cached as received, so they must be uncompressed.
  return { ...(key && { authorization: `Bearer ${key}` }), ...kept, 'accept-encoding': 'identity' }
}

/** Returns a message's headers without those of one connection (RFC 9110, 7.6.1), its length, and our own. */
export function endToEnd(headers: IncomingHttpHeaders): Record<string, string | string[]> {
  const dropped = new Set([...HOP_BY_HOP, ...(headers.connection?.toLowerCase().split(/\s*,\s*/) ?? [])])
  const kept: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !dropped.has(name) && !name.startsWith('x-iron-cage-')) kept[name] = value
  }
  return kept
}

const HOP_BY_HOP = [
  'connection',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]
