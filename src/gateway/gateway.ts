/**
 * The gateway: the HTTP side of calls, with requests in and responses and errors out, in the provider's own shape. A
 * call's path is `run-call.ts`, a service call's `run-service-call.ts`; `dialects/` has the providers' formats.
 *
 * Agents' clients call /gateway/<run token>/openai/v1/…, …/anthropic/…, …/services/<name>/…; clients without
 * supervision call /gateway/openai/v1/… with an API token as their key (`caller.ts`). Raw node:http on
 * purpose: every layer between two sockets adds latency, and streams need the sockets themselves.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Access } from '../access/open-access.ts'
import { asCageError, CageError, type ErrorCode } from '../core/errors.ts'
import { type AgentId, newCallId, newRequestId } from '../core/ids.ts'
import { holdsOwnToken } from '../core/tokens.ts'
import type { Dialect, Format } from '../dialects/dialect.ts'
import { DEFAULT_DIALECT, DIALECTS } from '../dialects/dialects.ts'
import type { Incidents } from '../redaction/incidents.ts'
import type { Finding } from '../redaction/text/match.ts'
import { LARGE_BYTES } from './bodies/bytes.ts'
import { decodeBody } from './bodies/decode.ts'
import { type ReadRequest, readRequest } from './bodies/request-body.ts'
import type { Caller, LlmCall } from './call.ts'
import type { ModelNaming } from './call-facts.ts'
import { type GatewayAddress, identifyCaller, ownKeyOf, readAddress, sentKeys } from './caller.ts'
import { ClientConnection, ClientGone, readBody } from './provider/client.ts'
import { OpenStreams } from './provider/open-streams.ts'
import type { Provider } from './provider/provider.ts'
import type { KeyRequest, Keyring } from './provider/provider-key.ts'
import { withoutTokens } from './redaction/own-tokens.ts'
import { type ProviderRoute, resolveRoute } from './resolve-route.ts'
import type { Redaction, Road } from './road.ts'
import { endBrokenStream, runCall } from './run-call.ts'
import { runRouteCall } from './run-route-call.ts'
import { runServiceCall, type ServiceRoad, type Via } from './services/run-service-call.ts'
import { runServiceSocket, type Upgraded } from './services/run-service-socket.ts'
import { TokenCalls } from './token-calls.ts'
import { proxyUnmetered } from './unmetered.ts'

/** The dependencies of the gateway (`open-gateway.ts`). */
export interface GatewayDeps {
  access: Pick<Access, 'runTokens' | 'apiTokens'>
  /** Calls to providers. */
  road: Road
  /** Calls to services. */
  services: ServiceRoad
  keyring: Keyring
  /** Resolves when every key is in memory; no call is answered earlier. */
  keysLoaded: Promise<void>
  /** config.server.max_body_bytes */
  maxBodyBytes: number
  onFault: (error: unknown, what: string) => void
}

/** Called for requests that failed authentication, or whose caller may not make calls. */
export type OnRefused = (request: IncomingMessage, error: CageError) => void

/** Answers a request below /gateway/. `via`: how it came, if it was sent to another address. Never rejects. */
export type AnswerCall = (
  request: IncomingMessage,
  response: ServerResponse,
  onRefused: OnRefused,
  via?: Via,
  upgraded?: Upgraded,
) => Promise<void>

export function gateway(deps: GatewayDeps): AnswerCall {
  const streams = new OpenStreams()
  const tokenCalls = new TokenCalls(deps.access.apiTokens)
  return async (request, response, onRefused, via, upgraded) => {
    const client = new ClientConnection(response, deps.road.clock)
    const exchange: Exchange = {
      request,
      client,
      via,
      upgraded,
      dialect: DIALECTS[DEFAULT_DIALECT],
      caller: undefined,
      provider: undefined,
      call: undefined,
      trace: { calls: 0 },
    }
    try {
      await answer(deps, { streams, tokenCalls }, exchange)
    } catch (thrown) {
      if (thrown instanceof ClientGone) return
      const error = asCageError(thrown)
      if (REFUSALS.has(error.code)) onRefused(request, error)
      exchange.caller?.onRefused?.(error)
      recordRefused(deps, exchange, error)
      refuse(deps, exchange, error)
    }
  }
}

/** Errors of authentication and authorization. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['unauthorized', 'foreign_process', 'forbidden'])

/** A request and the details known so far, for the shape of an error. */
interface Exchange {
  readonly request: IncomingMessage
  readonly client: ClientConnection
  readonly via: Via | undefined
  /** Of a request for a WebSocket to a service. */
  readonly upgraded: Upgraded | undefined
  dialect: Dialect
  caller: Caller | undefined
  provider: Provider | undefined
  call: LlmCall | undefined
  readonly trace: LlmCall['trace']
}

/** Calls in progress. */
interface Running {
  streams: OpenStreams
  tokenCalls: TokenCalls
}

/** Who calls, and what. */
interface IdentifiedRequest extends Pick<KeyRequest, 'caller' | 'sentKey'> {
  address: GatewayAddress
}

async function answer(deps: GatewayDeps, { streams, tokenCalls }: Running, exchange: Exchange): Promise<void> {
  const { request, client } = exchange
  const { address, caller, sentKey } = await identify(deps, tokenCalls, exchange)
  const route = resolveRoute(address, exchange.provider, request.method!)
  if (route.kind === 'probe') return client.send(200, {}, '')
  if (route.kind === 'service') return answerService(deps, { ...route, caller }, exchange)
  const bytes = await readDecoded(request, deps.maxBodyBytes, client)
  const { provider } = route
  const asked = { caller, provider, sentKey, headers: forwardedHeaders(request, provider.dialect), bytes }
  deps.keyring.choose(asked) // throws without a key, before anything is held
  if (route.kind === 'priced') return answerPriced(deps, route, asked, exchange)
  if (route.kind === 'unmetered') return answerUnmetered(deps, route, asked, exchange)
  return answerMetered(deps, streams, route, asked, exchange)
}

/** Identifies the caller; the shape of an error follows from the address, even when it fails. */
async function identify(
  { road, access, keysLoaded }: GatewayDeps,
  tokenCalls: TokenCalls,
  exchange: Exchange,
): Promise<IdentifiedRequest> {
  const { request, client } = exchange
  const address = readAddress(request.url!)
  exchange.provider = address.isService ? undefined : road.upstream.find(address.name)
  exchange.dialect = exchange.provider?.dialect ?? exchange.dialect
  if (request.headers.upgrade?.toLowerCase() === 'websocket' && !exchange.upgraded) {
    throw new CageError('websocket_unsupported', 'the gateway answers over HTTP only, not over a WebSocket', {
      hint: 'Realtime and Responses over a WebSocket are not supported: configure your client to use HTTP',
    })
  }
  const sent = sentKeys(request, address.path, exchange.dialect)
  const caller = await identifyCaller(address, request, sent, access)
  exchange.caller = caller
  client.held = road.redaction.memory.of(caller.agentId)
  client.onceClosed(client.held.release)
  if (caller.tokenId !== undefined) tokenCalls.add(caller.tokenId, client)
  await keysLoaded
  await road.money.ledger.accounts.load(caller.agentId)
  return { address, caller, sentKey: ownKeyOf(sent) }
}

/** A request to a provider, with the headers to send and the body as it came. */
interface ProviderRequest extends KeyRequest {
  headers: Record<string, string>
  bytes: Buffer
}

/** A call of a model. */
async function answerMetered(
  { road }: GatewayDeps,
  streams: OpenStreams,
  { path, format, model }: Extract<ProviderRoute, { kind: 'metered' }>,
  { bytes, ...asking }: ProviderRequest,
  exchange: Exchange,
): Promise<void> {
  const { client, trace } = exchange
  const naming = { named: model?.name, models: asking.provider.settings.models }
  const { body, facts } = await readOutgoing(road.redaction, bytes, asking, client.signal, { format, naming })
  using _body = { [Symbol.dispose]: () => body!.free() }
  const pathModel = model && { at: model.at, length: model.name.length }
  const call: LlmCall = { ...facts!, ...asking, id: newCallId(), path, pathModel, body: body!, format, trace }
  exchange.call = call
  using _place = call.stream ? streams.take(call.caller.agentId) : undefined
  await runCall(road, call, client)
}

async function answerUnmetered(
  { road }: GatewayDeps,
  { path }: ProviderRoute,
  { headers, bytes, ...asking }: ProviderRequest,
  { request, client }: Exchange,
): Promise<void> {
  const { body } = await readOutgoing(road.redaction, bytes, asking, client.signal)
  using _body = { [Symbol.dispose]: () => body?.free() }
  await proxyUnmetered(road, asking, { method: request.method!, path, headers, body }, client)
}

/** A call that only the configuration allows. Forms are sent as they come, less our own tokens. */
async function answerPriced(
  { road }: GatewayDeps,
  { path, allowed: route }: Extract<ProviderRoute, { kind: 'priced' }>,
  { headers, bytes, ...asking }: ProviderRequest,
  { request, client, trace }: Exchange,
): Promise<void> {
  const type = request.headers['content-type'] ?? ''
  const call = { ...asking, route, method: request.method!, path, headers, trace }
  if (/^multipart\/form-data;/i.test(type)) {
    const form = await withoutOwnTokens(road.redaction, bytes, asking.caller, client.signal)
    return runRouteCall(road, { ...call, headers: { ...headers, 'content-type': type }, body: { form } }, client)
  }
  const { body: json } = await readOutgoing(road.redaction, bytes, asking, client.signal)
  using _body = { [Symbol.dispose]: () => json?.free() }
  await runRouteCall(road, { ...call, body: { json } }, client)
}

/** Throws what `readBody` and `decodeBody` throw. */
const readDecoded = async (request: IncomingMessage, limit: number, { held }: ClientConnection): Promise<Buffer> =>
  decodeBody(await readBody(request, limit, held), request.headers['content-encoding'], { limit, held })

/** Records a call that was refused before its hold. */
function recordRefused(
  { road: { uncharged } }: GatewayDeps,
  { caller, provider, call, trace }: Exchange,
  error: CageError,
): void {
  if (!caller || !provider || trace.calls > 0) return
  const { code, message, hint, row } = error
  const model = call?.model ?? null
  const refusal = { message, hint }
  uncharged.record({ caller, provider: provider.name, model, code, status: row.status, refusal })
}

function refuse(
  { onFault, road: { safety } }: GatewayDeps,
  { client, dialect, call }: Exchange,
  thrown: CageError,
): void {
  if (thrown.code === 'internal') onFault(thrown.cause, 'a call failed inside the gateway')
  const error = thrown.withTexts(safety.scrub)
  if (client.hasBegun) return call ? endBrokenStream(call, error, client) : client.hangUp()
  const requestId = call?.id ?? newRequestId()
  const { status, retry } = error.row
  const headers = {
    'content-type': 'application/json',
    'x-request-id': requestId,
    // Both SDKs obey this: a refusal that a retry cannot fix is answered once.
    ...(retry ? {} : { 'x-should-retry': 'false' }),
    ...(error.retryAfterS === undefined ? {} : { 'retry-after': String(error.retryAfterS) }),
    ...(status === 426 ? { connection: 'upgrade', upgrade: 'HTTP/1.1' } : {}),
  }
  client.send(status, headers, JSON.stringify(dialect.errorBody(error, requestId)))
}

/** Returns the body of a request without our own tokens and, for a metered call, its facts. */
async function readOutgoing(
  { large, incidents, originals }: Redaction,
  bytes: Buffer,
  { caller: { agentId }, provider: { dialect } }: KeyRequest,
  signal: AbortSignal,
  metered?: { format: Format; naming: ModelNaming },
): Promise<Partial<ReadRequest>> {
  // Cancelling or deleting a response needs no body.
  if (bytes.length === 0 && !metered) return {}
  const { format, naming = { named: undefined, models: {} } } = metered ?? {}
  const read = await readRequest(large, bytes, { dialect, format, naming, originals, agentId, signal })
  recordTokens(incidents, read.findings, agentId)
  return read
}

function recordTokens(incidents: Incidents, findings: readonly Finding[], agentId: AgentId): void {
  incidents.recordAll(incidents.newInRequest(findings, agentId), { agentId, callId: null, place: 'request' })
}

/**
 * Headers that a provider receives besides the call, in all dialects. Only headers known here or to the dialect are
 * forwarded: any other could carry data, or change the meaning of the method, path and body that were read here.
 */
const FORWARDED =
  /^(accept|accept-language|user-agent|idempotency-key|x-request-id|x-client-request-id|x-stainless-.+|x-title|http-referer|x-app|traceparent|tracestate)$/

/** Returns the client's headers for the provider except its key, which is chosen when the request is sent. */
function forwardedHeaders({ headers, method }: IncomingMessage, { requestHeaders }: Dialect): Record<string, string> {
  const ofConnection = headers.connection?.toLowerCase().split(/\s*,\s*/) ?? []
  const passed: Record<string, string> = {}
  for (const header in headers) {
    const value = headers[header]
    if (value === undefined || !(FORWARDED.test(header) || requestHeaders.test(header))) continue
    if (!ofConnection.includes(header) && !holdsOwnToken(String(value))) passed[header] = String(value)
  }
  // The body is serialized again from its parsed form.
  if (method === 'POST') passed['content-type'] = 'application/json'
  passed['accept-encoding'] = 'identity'
  return passed
}

async function answerService(
  { road, services, maxBodyBytes }: GatewayDeps,
  { caller, name, path }: { caller: Caller; name: string; path: string },
  { request, client, via, upgraded }: Exchange,
): Promise<void> {
  const { method, headers: given } = request
  const { 'content-encoding': _encoding, ...decodedHeaders } = given
  const isRead = Object.hasOwn(services.services, name) && services.services[name]!.redact.includes('requests')
  const bytes = await (isRead
    ? readDecoded(request, maxBodyBytes, client)
    : readBody(request, maxBodyBytes, client.held))
  const body = await withoutOwnTokens(road.redaction, bytes, caller, client.signal)
  const headers = isRead ? decodedHeaders : given
  const call = { caller, service: name, method: method!, path, headers, body, via, signal: client.signal }
  if (upgraded) return runServiceSocket(services, call, client, upgraded)
  await runServiceCall(services, call, client)
}

/** Returns any body without our own tokens. */
async function withoutOwnTokens(
  { large, incidents }: Redaction,
  given: Buffer,
  { agentId }: Caller,
  signal: AbortSignal,
): Promise<Buffer> {
  const isLarge = given.length >= LARGE_BYTES
  const { bytes, findings } = isLarge
    ? await large.run('withoutTokens', { bytes: given }, { agentId, signal })
    : withoutTokens(given)
  recordTokens(incidents, findings, agentId)
  return bytes
}
