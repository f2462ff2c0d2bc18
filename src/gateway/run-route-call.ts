/**
 * Calls of routes that only the configuration allows (`providers.<name>.routes`): images, audio, files. Their price is
 * fixed by the request before it is sent; it is held, and charged once the provider has answered with success. They
 * are sent once: no retries, no circuit. A reply that can be read is redacted as text; a sound or picture passes as it is.
 */
import type { Charge } from '../budget/ledger.ts'
import { CageError } from '../core/errors.ts'
import type { NewEvent } from '../core/events.ts'
import { type CallId, newCallId } from '../core/ids.ts'
import { fromUsd, type Nanodollars, nanodollars, showUsd, toUsd, type Usd, ZERO_NANOS } from '../core/money.ts'
import { pathMatches } from '../dialects/routes.ts'
import { redactAnswer } from './bodies/answer.ts'
import { freeSent } from './bodies/bytes.ts'
import type { RequestBody } from './bodies/request-body.ts'
import type { CallTrace } from './call.ts'
import { failedEvent, failureOf, traceOf } from './charging/call-events.ts'
import { OpenHold } from './charging/open-hold.ts'
import type { ClientConnection } from './provider/client.ts'
import type { Provider } from './provider/provider.ts'
import type { KeyRequest } from './provider/provider-key.ts'
import { wasNotSent } from './provider/send.ts'
import type { Answer, ProviderAttempt } from './provider/upstream.ts'
import { CallRedactor } from './redaction/call-redactor.ts'
import { type Outgoing, redactOutgoing } from './redaction/redact-request.ts'
import { isStream } from './replies/framing.ts'
import { passedHeaders, readAll } from './replies/reply.ts'
import type { Road } from './road.ts'
import { waitUntilRunnable } from './wait-until-runnable.ts'

export interface AllowedRoute {
  /** As the configuration has it, such as "POST /images/generations". */
  name: string
  price: Provider['settings']['routes'][string]
}

/** Returns the configured route of a request; undefined if the configuration allows none. */
export function allowedRoute({ settings }: Provider, method: string, path: string): AllowedRoute | undefined {
  for (const [name, price] of Object.entries(settings.routes)) {
    const [allowedMethod, template = ''] = name.split(' ')
    if (allowedMethod === method && pathMatches(template, path)) return { name, price }
  }
  return undefined
}

/** The sent request: JSON as it was read, or a form as it came. */
export type RouteBody = { json: RequestBody | undefined; form?: undefined } | { json?: undefined; form: Buffer }

export interface RouteCall extends KeyRequest {
  route: AllowedRoute
  method: string
  path: string
  headers: Record<string, string>
  body: RouteBody
  trace: CallTrace
}

/**
 * Answers the client. Throws what holding and sending throw, CageError `bad_request` for a request whose price cannot
 * be read, and PiiBlockedError.
 */
export async function runRouteCall(road: Road, call: RouteCall, client: ClientConnection): Promise<void> {
  const { state, money, redaction } = road
  const { caller, provider, route, trace } = call
  await waitUntilRunnable(state, caller, client.signal)
  const id = newCallId()
  const outgoing = await safeOutgoing(road, call, id)
  try {
    const cost = costOfRoute(route, outgoing.body)
    const held = { id, caller, kind: 'llm', target: provider.name, model: route.name, maxCost: cost } as const
    const hold = await OpenHold.begin(money, held, client.signal)
    trace.calls += 1
    const open = new OpenRouteCall(road, call, hold)
    const answer = await open.send(outgoing, client.signal)
    const reply = await readAll(answer, provider.name, client).catch((error) => open.failed(error, cost))
    const redactor = new CallRedactor(redaction, { id, caller })
    try {
      const body = await safeReply(road, call, reply, answer, redactor, client.signal)
      redactor.judge()
      await open.answered(answer.status, redactor.findings.count)
      const ours = { 'x-iron-cage-call-id': id, 'x-iron-cage-cost-usd': open.costOf(answer.status) }
      client.send(answer.status, { ...passedHeaders(answer.headers, provider.dialect, redactor), ...ours }, body)
    } catch (error) {
      await open.failed(error, isGood(answer.status) ? cost : ZERO_NANOS)
    } finally {
      redactor.close()
    }
  } finally {
    if (outgoing.body !== undefined) freeSent(outgoing.body)
  }
}

type SentRequest = Pick<Outgoing, 'path' | 'headers'> & { body: string | Buffer | undefined }

/** Throws CageError `bad_request` for a form where requests must be redacted: it cannot be read. */
async function safeOutgoing({ redaction }: Road, call: RouteCall, id: CallId): Promise<SentRequest> {
  const { json, form } = call.body
  if (form && redaction.redactor.covers('requests')) {
    throw new CageError('bad_request', 'a form cannot be redacted, and safety.scope covers requests', {
      facts: { route: call.route.name },
      hint: 'send JSON, or take "requests" out of safety.scope',
    })
  }
  const { path, headers, body } = await redactOutgoing(redaction, { id, caller: call.caller }, call.provider, {
    path: call.path,
    headers: call.headers,
    body: json,
  })
  return { path, headers, body: form ?? (await body?.write()) }
}

/** Throws CageError `bad_request` for a request without a quantity. */
export function costOfRoute({ name, price }: AllowedRoute, body: string | Buffer | undefined): Nanodollars {
  const parts: [usd: Usd | undefined, count: () => number, per: number][] = [
    [price.per_call_usd, () => 1, 1],
    [price.per_image_usd, () => imagesOf(fieldsOf(body, name), name), 1],
    [price.per_thousand_characters_usd, () => charactersOf(fieldsOf(body, name), name), 1_000],
    [price.per_megabyte_usd, () => (body === undefined ? 0 : Buffer.byteLength(body)), 1_000_000],
  ]
  const total = parts.reduce((sum, [usd, count, per]) => {
    if (usd === undefined) return sum
    return sum + (BigInt(fromUsd(usd)) * BigInt(count()) + BigInt(per - 1)) / BigInt(per)
  }, 0n)
  if (total > BigInt(Number.MAX_SAFE_INTEGER)) throw unreadable(name, 'a smaller amount')
  return nanodollars(Number(total))
}

function fieldsOf(body: string | Buffer | undefined, name: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(String(body))
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // A form.
  }
  throw unreadable(name, 'a JSON object')
}

function imagesOf({ n = 1 }: Record<string, unknown>, name: string): number {
  if (Number.isInteger(n) && (n as number) >= 1 && (n as number) <= MAX_IMAGES) return n as number
  throw unreadable(name, `"n", a whole number from 1 to ${MAX_IMAGES}`)
}
const MAX_IMAGES = 1_000

/** How to speak is read as well. */
function charactersOf({ input, instructions = '' }: Record<string, unknown>, name: string): number {
  if (typeof input === 'string' && typeof instructions === 'string') return input.length + instructions.length
  throw unreadable(name, '"input", a text')
}

const unreadable = (route: string, expected: string): CageError =>
  new CageError('bad_request', `the price of ${route} needs ${expected}`, { facts: { route } })

/** A reply that is text is redacted. Throws CageError `redaction_failed` for one that is neither text nor a known medium. */
async function safeReply(
  { redaction }: Road,
  { provider, caller, route }: RouteCall,
  reply: Buffer,
  { headers }: Answer,
  redactor: CallRedactor,
  signal: AbortSignal,
): Promise<string | Buffer> {
  if (isStream(headers)) {
    throw new CageError('bad_request', `${route.name} cannot be streamed`, { hint: 'request it without "stream"' })
  }
  if (isText(reply)) return redactAnswer(redaction, reply, provider, redactor, { agentId: caller.agentId, signal })
  const type = String(headers['content-type'] ?? 'no type')
  if (/^(audio|image|video)\//.test(type)) return reply
  throw new CageError('redaction_failed', `the reply of ${route.name} is ${type}, which cannot be read`, {
    facts: { route: route.name },
  })
}

/** Under any declared type: readable text is redacted as text. */
function isText(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    return true
  } catch {
    return false
  }
}

const isGood = (status: number): boolean => status >= 200 && status < 300

/** A call that holds money. */
class OpenRouteCall {
  readonly #road: Road
  readonly #call: RouteCall
  readonly #hold: OpenHold
  /** Monotonic ms. */
  readonly #startedAt: number

  constructor(road: Road, call: RouteCall, hold: OpenHold) {
    this.#road = road
    this.#call = call
    this.#hold = hold
    this.#startedAt = road.clock.monotonic()
  }

  costOf(status: number): Usd {
    return toUsd(isGood(status) ? this.#hold.maxCost : ZERO_NANOS)
  }

  /** Throws what sending throws, after the hold has ended: a request that may have arrived is charged. */
  async send({ path, headers, body }: SentRequest, signal: AbortSignal): Promise<Answer> {
    const { method } = this.#call
    try {
      const to = { method: method as ProviderAttempt['method'], path, headers, body, signal }
      return await this.#road.sender.forward(this.#call, to)
    } catch (error) {
      return await this.failed(error, wasNotSent(error) ? ZERO_NANOS : this.#hold.maxCost)
    }
  }

  /** Ends a call that has an answer; only success costs. */
  answered(status: number, redactions: number): Promise<void> {
    const { route, provider, caller } = this.#call
    const cost = this.costOf(status)
    const event: NewEvent = {
      type: 'call.completed',
      level: isGood(status) ? 'INFO' : 'WARN',
      agent_id: caller.agentId,
      message: `${route.name} · ${isGood(status) ? showUsd(cost) : `answered ${status}`}`,
      data: {
        call_id: this.#hold.id,
        provider: provider.name,
        model: route.name,
        stream: false,
        input_tokens: 0,
        cached_input_tokens: 0,
        output_tokens: 0,
        cost_usd: cost,
        baseline_usd: null,
        estimated: false,
        latency_ms: this.#elapsedMs(),
        first_byte_ms: null,
        status,
        redactions,
        ...this.#hold.paidBy,
        ...traceOf(caller),
      },
    }
    return this.#end(isGood(status) ? this.#hold.maxCost : ZERO_NANOS, status, null, event)
  }

  /** Ends a call that broke, and throws its error. */
  async failed(error: unknown, cost: Nanodollars): Promise<never> {
    if (this.#hold.hasEnded) throw error
    const { provider, caller, route, trace } = this.#call
    const failure = failureOf(error)
    const event = failedEvent({ id: this.#hold.id, provider, model: route.name, caller, trace }, failure, {
      claim: { cost, estimated: cost > 0, remarks: {} },
      paidBy: this.#hold.paidBy,
      timing: { latency_ms: this.#elapsedMs() },
    })
    await this.#end(cost, failure.status, failure.code, event, cost > 0)
    throw error
  }

  #end(cost: Nanodollars, status: number, code: string | null, event: NewEvent, estimated = false): Promise<void> {
    const end: Omit<Charge, 'cost'> = {
      status,
      code,
      estimated,
      price: { source: 'config', ...this.#call.route.price },
    }
    return cost > 0 || code === null ? this.#hold.charge({ ...end, cost }, event) : this.#hold.release(end, event)
  }

  #elapsedMs(): number {
    return Math.round(this.#road.clock.monotonic() - this.#startedAt)
  }
}
