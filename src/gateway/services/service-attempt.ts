/**
 * One attempt at a service call: the URL, the headers, the timeout, and what its outcome means. The agent's key for the
 * service is forwarded; our own headers and those of one connection are not.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { isBeforeSending, parseRetryAfter } from '../../breaker/retry.ts'
import type { Clock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { holdsOwnToken } from '../../core/tokens.ts'

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
  body: Buffer
  /** Timeout of the whole response. */
  timeoutMs: number
  signal: AbortSignal
}

export interface LiveAnswer {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
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
  /** A 2xx had begun, so the call is due. */
  isDue: boolean
  /** The service's own response, 429 or 5xx. */
  refusal?: LiveAnswer
  /** Retry-After of the service. */
  retryAfterMs?: number | undefined
}

/**
 * Returns a response that is no failure of the service: 2xx, 304, 4xx. Throws AttemptFailed, or the signal's reason.
 */
export async function attemptService(attempt: ServiceAttempt): Promise<LiveAnswer> {
  const { url, signal, timeoutMs } = attempt
  const deadline = new AbortController()
  const timer = attempt.clock.after(timeoutMs, () => deadline.abort())
  let status: number | undefined
  try {
    const { statusCode, headers, body } = await attempt.dispatcher.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: attempt.method as Dispatcher.HttpMethod,
      headers: forwardedHeaders(attempt),
      body: attempt.body.length > 0 ? attempt.body : null,
      signal: AbortSignal.any([signal, deadline.signal]),
      // The deadline covers the whole response.
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    status = statusCode
    const answer = { status, headers, body: await readBounded(attempt, status, body) }
    if (isRedirect(status)) throw redirected(attempt, status)
    if (status === 429 || status >= 500) throw refused(attempt, answer)
    return answer
  } catch (error) {
    if (error instanceof AttemptFailed) throw error
    if (signal.aborted) throw signal.reason
    throw deadline.signal.aborted ? timedOut(attempt, status) : broken(attempt, status, error)
  } finally {
    timer.cancel()
  }
}

export const isGood = (status: number | undefined): boolean => status !== undefined && status >= 200 && status < 300

const isRedirect = (status: number): boolean => status >= 300 && status < 400 && status !== 304

const MAX_REPLY_BYTES = 16 * 1024 * 1024

async function readBounded(attempt: ServiceAttempt, status: number, body: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > MAX_REPLY_BYTES) throw tooLarge(attempt, status)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The service works, so this counts against nothing. */
function tooLarge({ service }: ServiceAttempt, status: number): AttemptFailed {
  const error = new CageError('reply_too_large', `${service} answered with more than ${MAX_REPLY_BYTES} bytes`, {
    facts: { service, limit_bytes: MAX_REPLY_BYTES },
    hint: 'request less at a time',
  })
  return new AttemptFailed('answer too large', { error, isOutage: false, isRepeatable: false, isDue: isGood(status) })
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
  return new AttemptFailed(`answered ${status}`, { error, isOutage: false, isRepeatable: false, isDue: false })
}

const BASE_URL_HINT = "check the service's base_url in the configuration, and the network"

function refused({ service, method, clock }: ServiceAttempt, refusal: LiveAnswer): AttemptFailed {
  const { status, headers } = refusal
  return new AttemptFailed(`answered ${status}`, {
    error: new CageError('provider_unreachable', `${service} answered ${status}`, { facts: { service, status } }),
    isOutage: true,
    // 429 and 503 mean that the request was not processed.
    isRepeatable: IDEMPOTENT.has(method) || status === 429 || status === 503,
    isDue: false,
    refusal,
    retryAfterMs: parseRetryAfter(headers, clock.now()),
  })
}

/** `status`: undefined until a response began. */
function timedOut({ service, method, timeoutMs }: ServiceAttempt, status: number | undefined): AttemptFailed {
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
    isDue: isGood(status),
  })
}

/** The connection failed, or broke. */
function broken({ service, method }: ServiceAttempt, status: number | undefined, cause: unknown): AttemptFailed {
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
    isDue: isGood(status),
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
function forwardedHeaders({ headers, key }: ServiceAttempt): Record<string, string | string[]> {
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
