/**
 * One service call: an agent's request to an outside API that its tools use, from the request to the recorded cost.
 * Live while the service's circuit allows it, otherwise served by the configured fallback.
 *
 * The rules are:
 * - These count against the service: no connection, a timeout, a broken response, 5xx and 429. Any other error status
 *   is the agent's own mistake; it is returned unchanged, costs nothing and does not affect the circuit.
 * - The price of a call is due when a 2xx begins, even if its body then breaks.
 * - Redirects are not followed: the agent's key is sent to the configured address only.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dispatcher } from 'undici'
import { type CircuitSettings, type Circuits, type Permit, settingsOf } from '../../breaker/circuits.ts'
import { type FallbackAnswer, fallbackTier, findFallback, TIER_WORDS } from '../../breaker/fallback.ts'
import { retry, withClampedRetryAfter } from '../../breaker/retry.ts'
import { cacheOwner, mayStore, type ServiceCache, type ServiceRequest } from '../../breaker/service-cache.ts'
import type { Money } from '../../budget/open-money.ts'
import type { ServiceConfig } from '../../config/schema.ts'
import type { Clock } from '../../core/clock.ts'
import { CageError, CircuitOpenError } from '../../core/errors.ts'
import type { EventData, NewEvent, Tier } from '../../core/events.ts'
import type { Network } from '../../core/http-pools.ts'
import { type CallId, newCallId } from '../../core/ids.ts'
import { fromUsd, type Nanodollars, showUsd, toUsd, ZERO_NANOS } from '../../core/money.ts'
import type { StateManager } from '../../state/state-manager.ts'
import type { Secrets } from '../../vault/open-vault.ts'
import type { Caller } from '../call.ts'
import { traceOf } from '../charging/call-events.ts'
import { type HeldCall, OpenHold } from '../charging/open-hold.ts'
import { AttemptLog } from '../provider/attempt-log.ts'
import type { ClientConnection } from '../provider/client.ts'
import type { Redaction } from '../road.ts'
import { waitUntilRunnable } from '../wait-until-runnable.ts'
import {
  AttemptFailed,
  attemptService,
  endToEnd,
  isGood,
  joinUrl,
  type LiveAnswer,
  type ServiceAttempt,
} from './service-attempt.ts'
import { ServiceTexts } from './service-texts.ts'

/** The keys of services, by their names in the vault or the server's environment. */
export interface ServiceKeys {
  keys: Pick<Secrets['keys'], 'find'>
  keyNames: Pick<Secrets['keyNames'], 'services'>
}

/** The dependencies of a service call. */
export interface ServiceRoad {
  /** config.services */
  services: Readonly<Record<string, ServiceConfig>>
  circuits: Circuits
  cache: ServiceCache
  money: Money
  state: StateManager
  clock: Clock
  /** The keys sent as bearer tokens where the agent sends none. */
  secrets: ServiceKeys
  /** Sends to services; an undici Agent. */
  dispatcher: Dispatcher
  /** How WebSockets leave this machine. */
  network: Network
  redaction: Pick<Redaction, 'redactor' | 'incidents'>
}

export interface ServiceCall {
  caller: Caller
  /** Its name in the configuration. */
  service: string
  method: string
  /** Path and query on the service as the agent wrote them, e.g. "/v2/companies?domain=acme.com". */
  path: string
  headers: IncomingHttpHeaders
  body: Buffer
  /** How the request came; undefined for the address of the gateway. */
  via: Via | undefined
  /** Fires when the agent hangs up or is stopped. */
  signal: AbortSignal
}

/** A request that an agent made to the service's own address. */
export type Via = NonNullable<EventData['service.called']['via']>

/** What a call needs of its client. */
export type ServiceClient = Pick<ClientConnection, 'send' | 'begin' | 'write' | 'end' | 'hangUp'>

/**
 * Answers one service call. Thrown and not recorded, as CageError: `agent_paused`, `agent_not_running`, `not_found` for
 * a service that is not configured, `method_not_allowed`, `bad_request` for a path outside the service, `pii_blocked` for
 * a request, and what `Ledger.hold` throws. Thrown and recorded: `circuit_open`, `provider_unreachable`,
 * `provider_timeout` and `provider_reply_invalid` when neither the service nor a fallback answers, `pii_blocked`, and the
 * signal's reason when the agent left.
 */
export async function runServiceCall(road: ServiceRoad, call: ServiceCall, client: ServiceClient): Promise<void> {
  const open = await openCall(road, call)
  const live = await callLive(road, call, open, attemptService) // circuit, hold, send; retries within the policy
  if (live.answer?.rest) return streamAnswer(road, call, open, live, client)
  await answerWhole(road, call, open, live, client)
}

/** Sends the answer of a service, of a fallback, or throws the failure. */
export async function answerWhole(
  road: ServiceRoad,
  call: ServiceCall,
  open: OpenServiceCall,
  live: AttemptOutcome,
  client: ServiceClient,
): Promise<void> {
  const fallback = isServiceOutage(live)
    ? findFallback(road.cache, call.service, open.service, open.request)
    : undefined
  const answer = live.answer ?? fallback ?? refusalOf(live.failure)
  const cost = live.isDue ? open.cost : ZERO_NANOS
  await endCall(road, call, open, live, fallback, cost) // charged or released, and recorded
  if (fallback) recordFallback(road, call, live, fallback)
  if (!answer) throw live.failure instanceof AttemptFailed ? live.failure.facts.error : live.failure
  const headers = headersOf(answer, fallback?.tier ?? 1, open.id, cost, road.clock.now())
  if (call.method !== 'HEAD') return client.send(answer.status, headers, answer.body)
  client.begin(answer.status, { ...headers, ...lengthOf(answer) })
  client.end()
}

/** Sends an answer as it comes. It is charged when it has ended, however it did. */
async function streamAnswer(
  road: ServiceRoad,
  call: ServiceCall,
  open: OpenServiceCall,
  live: AttemptOutcome,
  client: ServiceClient,
): Promise<void> {
  const { status, headers, body, rest } = live.answer!
  const cost = live.isDue ? open.cost : ZERO_NANOS
  // What is redacted may have another length.
  const length = open.texts.isRedacted(headers) ? {} : lengthOf(live.answer!)
  client.begin(status, { ...headersOf(live.answer!, 1, open.id, cost, road.clock.now()), ...length })
  let failure: unknown
  try {
    for await (const piece of open.texts.pieces(headers, body, rest!)) await client.write(piece)
  } catch (error) {
    failure = error
  }
  const isBroken = failure !== undefined
  if (failure instanceof AttemptFailed && failure.facts.isOutage) live.permit!.failed(failure.message)
  else if (isGood(status)) live.permit!.succeeded()
  const outcome: AttemptOutcome = isBroken ? { ...live, answer: undefined, failure } : live
  await endCall(road, call, open, outcome, undefined, cost)
  // Its end is missing, and the client must see that.
  if (isBroken) client.hangUp()
  else client.end()
}

/** The details of a call before it is sent. */
interface OpenServiceCall {
  id: CallId
  service: ServiceConfig
  /** The key of the call in the cache. */
  request: ServiceRequest
  url: URL
  cost: Nanodollars
  /** Redacts what is sent and answered. */
  texts: ServiceTexts
  /** Monotonic ms. */
  startedAt: number
}

/** Waits until the agent may call. */
export async function openCall(
  { services, state, clock, redaction }: ServiceRoad,
  call: ServiceCall,
): Promise<OpenServiceCall> {
  await waitUntilRunnable(state, call.caller, call.signal)
  const { service: name, path, method, caller, headers } = call
  const service = Object.hasOwn(services, name) ? services[name] : undefined
  if (!service) {
    throw new CageError('not_found', `no service is called "${name}"`, {
      facts: { service: name },
      hint: 'add it under "services" in the configuration',
    })
  }
  if (service.methods && !service.methods.includes(method)) throw methodRefused(name, method, service.methods)
  const id = newCallId()
  const url = joinUrl(service.base_url, path)
  const texts = new ServiceTexts(redaction, { id, caller, service })
  const body = await texts.whole('requests', headers, call.body)
  // Every caller is a known agent (`waitUntilRunnable`).
  const request = { method, path, headers, body, owner: cacheOwner(state.read().agents[caller.agentId]!) }
  return { id, service, request, url, cost: fromUsd(service.cost_per_call_usd), texts, startedAt: clock.monotonic() }
}

const methodRefused = (service: string, method: string, methods: readonly string[]): CageError =>
  new CageError('method_not_allowed', `agents send ${methods.join(', ')} to ${service}, not ${method}`, {
    facts: { service, method },
    hint: `to allow it, add ${method} to services.${service}.methods`,
  })

/** The outcome of all attempts. Without a hold nothing was sent. `isDue`: a 2xx began, whatever followed. */
type AttemptOutcome = { hold: OpenHold | undefined; attempts: AttemptLog; permit?: Permit; isDue: boolean } & (
  | { answer: LiveAnswer; failure?: undefined }
  | { answer?: undefined; failure: unknown }
)

/** One hold pays for all attempts; the first one that the circuit allows makes it. Throws only before that. */
export async function callLive(
  road: ServiceRoad,
  call: ServiceCall,
  open: OpenServiceCall,
  send: (attempt: ServiceAttempt) => Promise<LiveAnswer>,
): Promise<AttemptOutcome> {
  const settings = circuitSettings(open.service)
  const attempts = new AttemptLog(road.clock, open.startedAt)
  let hold: OpenHold | undefined
  let permit: Permit | undefined
  let isDue = false
  const onStatus = (status: number) => {
    isDue = isGood(status)
  }
  const attempt = async (): Promise<LiveAnswer> => {
    permit = road.circuits.enter(call.service, settings)
    let isOpen = false
    try {
      hold ??= await OpenHold.attempt(road.money.ledger, heldCall(call, open), call.signal)
      const answer = await attempts.time(() => send({ ...attemptOf(road, call, open), onStatus }), refusalOf)
      isOpen = answer.rest !== undefined
      if (isGood(answer.status) && !isOpen) permit.succeeded()
      return isOpen ? answer : { ...answer, body: await open.texts.whole('replies', answer.headers, answer.body) }
    } catch (error) {
      if (error instanceof AttemptFailed && error.facts.isOutage) permit.failed(error.message, error.facts.retryAfterMs)
      throw error
    } finally {
      // For all other outcomes; only the first report counts.
      if (!isOpen) permit.ignored()
    }
  }
  try {
    const answer = await retry(attempt, {
      retries: open.service.retries,
      clock: road.clock,
      signal: call.signal,
      isRetryable: (error) => error instanceof AttemptFailed && error.facts.isRepeatable,
      retryAfterMs: (error) => (error instanceof AttemptFailed ? error.facts.retryAfterMs : undefined),
    })
    return { hold, attempts, answer, permit: permit!, isDue }
  } catch (failure) {
    if (!hold && !(failure instanceof CircuitOpenError)) throw failure
    return { hold, attempts, failure, isDue }
  }
}

const attemptOf = (road: ServiceRoad, call: ServiceCall, { url, service, request, texts }: OpenServiceCall) => ({
  ...{ dispatcher: road.dispatcher, clock: road.clock, service: call.service, method: call.method, url },
  ...{ headers: call.headers, key: keyOf(road, call), body: request.body, signal: call.signal },
  timeoutMs: service.timeout_s * 1000,
  isWhole: texts.needsWhole,
  isRead: texts.covers('replies'),
  followsRedirects: call.via !== undefined,
})

function keyOf(
  { secrets: { keys, keyNames }, state }: ServiceRoad,
  { service, caller }: ServiceCall,
): string | undefined {
  const name = keyNames.services[service]
  return name && keys.find(name, state.read().agents[caller.agentId]?.environment ?? '')
}

/** Returns the circuit settings of a configured service. */
export const circuitSettings = (service: ServiceConfig): CircuitSettings =>
  // A hanging probe is ended by the attempt's own timeout; this one is the safety net.
  settingsOf(service.breaker, service.timeout_s * 1000 + PROBE_MARGIN_MS, fallbackTier(service))

/** Longer than a probe may wait for money held by running calls. */
const PROBE_MARGIN_MS = 5_000

const heldCall = ({ caller, service }: ServiceCall, { id, cost }: OpenServiceCall): HeldCall => ({
  id,
  caller,
  kind: 'service',
  target: service,
  model: null,
  maxCost: cost,
})

/** True when the service failed, not the agent. */
const isServiceOutage = ({ failure }: AttemptOutcome): boolean =>
  failure instanceof CircuitOpenError || (failure instanceof AttemptFailed && failure.facts.isOutage)

const refusalOf = (failure: unknown): LiveAnswer | undefined =>
  failure instanceof AttemptFailed ? failure.facts.refusal : undefined

/** Ends the hold, if any, and records the call. */
export async function endCall(
  { state, cache, clock }: ServiceRoad,
  call: ServiceCall,
  open: OpenServiceCall,
  live: AttemptOutcome,
  fallback: FallbackAnswer | undefined,
  cost: Nanodollars,
): Promise<void> {
  const { hold, answer, failure } = live
  const status = fallback?.status ?? answer?.status ?? failureStatus(failure)
  const data: EventData['service.called'] = {
    call_id: open.id,
    service: call.service,
    ok: isGood(status),
    status,
    tier: fallback?.tier ?? (answer ? 1 : null),
    blocked: !hold,
    cost_usd: toUsd(cost),
    saved_usd: toUsd(hold ? ZERO_NANOS : open.cost),
    latency_ms: Math.round(clock.monotonic() - open.startedAt),
    ...live.attempts.view,
    ...(call.via && { via: call.via }),
    ...(open.texts.isUninspected && { uninspected: true as const }),
    ...hold?.paidBy,
    ...traceOf(call.caller),
  }
  const event = { ...calledEvent(data, live), agent_id: call.caller.agentId }
  if (!hold) return state.record(event)
  const end = { status: answer?.status ?? failureStatus(failure), code: answer ? null : codeOf(failure) }
  const keepAnswer = () => {
    if (answer) keep(cache, call.service, open, answer)
  }
  if (live.isDue) await hold.charge({ ...end, cost }, event, keepAnswer)
  else await hold.release(end, event, keepAnswer)
}

const calledEvent = (data: EventData['service.called'], live: AttemptOutcome): NewEvent => ({
  type: 'service.called',
  // A redirect is ordinary, though it costs nothing.
  level: data.status < 400 ? 'INFO' : 'WARN',
  message: sentence(data, live),
  data,
})

/** "linkedin_api answered 200 · $0.10", "linkedin_api not called, circuit open · cached data · $0.10 saved". */
function sentence(
  { service, status, tier, blocked, cost_usd, saved_usd }: EventData['service.called'],
  live: AttemptOutcome,
): string {
  const what = live.answer
    ? `answered ${status}`
    : blocked
      ? 'not called, circuit open'
      : `failed: ${reasonOf(live.failure)}`
  const parts = [`${service} ${what}`]
  if (tier !== null && tier > 1) parts.push(TIER_WORDS[tier])
  if (cost_usd !== '0') parts.push(showUsd(cost_usd))
  if (saved_usd !== '0') parts.push(`${showUsd(saved_usd)} saved`)
  return parts.join(' · ')
}

function keep(
  cache: ServiceCache,
  name: string,
  { service, request }: OpenServiceCall,
  { status, headers, body, rest }: LiveAnswer,
): void {
  const isWanted = service.fallback.cache?.methods.includes(request.method)
  if (!isWanted || rest || !mayStore(request.headers, headers)) return
  cache.put(name, request, { status, contentType: headers['content-type'] ?? 'application/octet-stream', body })
}

const FALLBACK_SOURCES = { 1: 'live', 2: 'from cache', 3: 'a placeholder' } as const

function recordFallback(
  { state }: ServiceRoad,
  { caller, service }: ServiceCall,
  { failure }: AttemptOutcome,
  { tier }: FallbackAnswer,
): void {
  const why = reasonOf(failure)
  state.record({
    type: 'fallback.used',
    level: 'INFO',
    agent_id: caller.agentId,
    message: `${service}: served ${FALLBACK_SOURCES[tier]} (${why})`,
    data: { service, tier, why },
  })
}

function headersOf(
  answer: LiveAnswer | FallbackAnswer,
  tier: Tier,
  id: CallId,
  cost: Nanodollars,
  nowMs: number,
): Record<string, string | string[]> {
  return {
    ...('headers' in answer
      ? withClampedRetryAfter(endToEnd(answer.headers), nowMs)
      : { 'content-type': answer.contentType }),
    'x-iron-cage-tier': String(tier),
    'x-iron-cage-call-id': id,
    'x-iron-cage-cost-usd': toUsd(cost),
  }
}

/** The length that HEAD asks for. */
const lengthOf = (answer: LiveAnswer | FallbackAnswer): { 'content-length'?: string } => {
  const length = 'headers' in answer ? answer.headers['content-length'] : String(answer.body.length)
  return length === undefined ? {} : { 'content-length': length }
}

/** A failure is an AttemptFailed, a CircuitOpenError, or the agent left. */
function reasonOf(failure: unknown): string {
  if (failure instanceof CircuitOpenError) return 'circuit open'
  if (failure instanceof CageError) return failure.message
  return failure instanceof AttemptFailed ? failure.message : 'the agent left'
}

function failureStatus(failure: unknown): number {
  if (failure instanceof CageError) return failure.row.status
  return failure instanceof AttemptFailed ? (failure.facts.refusal?.status ?? failure.facts.error.row.status) : 499
}

function codeOf(failure: unknown): string {
  if (failure instanceof CageError) return failure.code
  return failure instanceof AttemptFailed ? failure.facts.error.code : 'client_gone'
}
