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
import { BUILT_IN } from '../dialects/known-providers.ts'
import { findRoute, normalizePath } from '../dialects/routes.ts'
import type { Incidents } from '../redaction/incidents.ts'
import type { Finding } from '../redaction/text/match.ts'
import { LARGE_BYTES } from './bodies/bytes.ts'
import { decodeBody } from './bodies/decode.ts'
import { type ReadRequest, readRequest } from './bodies/request-body.ts'
import type { Caller, LlmCall } from './call.ts'
import type { ModelNaming } from './call-facts.ts'
import { identifyCaller, ownKeyOf, readAddress, sentKeys } from './caller.ts'
import { ClientConnection, ClientGone, readBody } from './provider/client.ts'
import { OpenStreams } from './provider/open-streams.ts'
import type { Provider } from './provider/provider.ts'
import { isVendors } from './provider/provider.ts'
import type { KeyRequest, Keyring } from './provider/provider-key.ts'
import { withoutTokens } from './redaction/own-tokens.ts'
import type { Redaction, Road } from './road.ts'
import { endBrokenStream, runCall } from './run-call.ts'
import { allowedRoute, type RouteCall, runRouteCall } from './run-route-call.ts'
import { runServiceCall, type ServiceRoad } from './services/run-service-call.ts'
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

/** Answers a request below /gateway/. Never rejects. */
export type AnswerCall = (request: IncomingMessage, response: ServerResponse, onRefused: OnRefused) => Promise<void>

export function gateway(deps: GatewayDeps): AnswerCall {
  const streams = new OpenStreams()
  const tokenCalls = new TokenCalls(deps.access.apiTokens)
  return async (request, response, onRefused) => {
    const client = new ClientConnection(response, deps.road.clock)
    const exchange: Exchange = {
      request,
      client,
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

async function answer(deps: GatewayDeps, { streams, tokenCalls }: Running, exchange: Exchange): Promise<void> {
  const { road } = deps
  const { request, client } = exchange
  const address = readAddress(request.url!)
  const { name } = address
  const provider = address.isService ? undefined : road.upstream.find(name)
  exchange.provider = provider
  exchange.dialect = provider?.dialect ?? exchange.dialect
  if (request.headers.upgrade?.toLowerCase() === 'websocket') {
    throw new CageError('websocket_unsupported', 'the gateway answers over HTTP only, not over a WebSocket', {
      hint: 'Realtime and Responses over a WebSocket are not supported: configure your client to use HTTP',
    })
  }
  const sent = sentKeys(request, address.path, exchange.dialect)
  const caller = await identifyCaller(address, request, sent, deps.access)
  exchange.caller = caller
  client.held = road.redaction.memory.of(caller.agentId)
  client.onceClosed(client.held.release)
  if (caller.tokenId !== undefined) tokenCalls.add(caller.tokenId, client)
  await deps.keysLoaded
  const loading = road.money.ledger.accounts.load(caller.agentId)
  if (loading) await loading
  const given = forwardedPath(address.path, provider?.dialect)
  if (address.isService) return runService(deps, { caller, name, path: given }, request, client)
  if (!provider) {
    throw new CageError('not_found', `there is no provider "${name}"`, {
      hint: `use ${BUILT_IN.join(', ')}, a configured provider, or services/<name>`,
    })
  }
  const { dialect } = provider
  // Claude Code sends HEAD to check that the server is reachable.
  if (request.method === 'HEAD') return client.send(200, {}, '')
  const { prefix, path } = normalizePath(pathOf(given), dialect)
  const { route: known, model } = findRoute(dialect.routes, request.method ?? '', path, isVendors(provider))
  const isOpen = known === 'blocked' || (known !== 'unmetered' && known.yieldsToConfig)
  const allowed = isOpen ? allowedRoute(provider, request.method ?? '', path) : undefined
  const route = allowed ? 'blocked' : known
  if (route === 'blocked' && !allowed) throw blocked(request.method ?? '', provider, path)
  const bytes = await readDecoded(request, deps.maxBodyBytes, client)
  const keyRequest: KeyRequest = { caller, provider, sentKey: ownKeyOf(sent) }
  deps.keyring.choose(keyRequest) // throws without a key, before anything is held
  const target = prefix + path + given.slice(pathOf(given).length)
  if (route === 'blocked') {
    const outgoing = { path: target, headers: forwardedHeaders(request, dialect), trace: exchange.trace }
    return await answerRoute(
      deps,
      { ...keyRequest, ...outgoing, route: allowed!, method: request.method! },
      request,
      bytes,
      client,
    )
  }
  const naming = { named: model?.name, models: provider.settings.models }
  const read = await readOutgoing(road.redaction, bytes, { caller, dialect, signal: client.signal, route, naming })
  using _body = { [Symbol.dispose]: () => read.body?.free() }
  const outgoing = { path: target, headers: forwardedHeaders(request, dialect), body: read.body }
  if (route === 'unmetered')
    return await proxyUnmetered(road, keyRequest, { method: request.method!, ...outgoing }, client)
  exchange.call = {
    ...read.facts!,
    id: newCallId(),
    caller,
    provider,
    sentKey: keyRequest.sentKey,
    path: target,
    headers: outgoing.headers,
    pathModel: model && { at: prefix.length + model.at, length: model.name.length },
    body: read.body!,
    format: route,
    trace: exchange.trace,
  }
  using _place = exchange.call.stream ? streams.take(caller.agentId) : undefined
  await runCall(road, exchange.call, client)
}

/** Answers a call of a route that only the configuration allows. Forms are sent as they come, less our own tokens. */
async function answerRoute(
  { road }: GatewayDeps,
  call: Omit<RouteCall, 'body'>,
  { headers }: IncomingMessage,
  bytes: Buffer,
  client: ClientConnection,
): Promise<void> {
  const { caller, provider } = call
  const type = headers['content-type'] ?? ''
  if (/^multipart\/form-data;/i.test(type)) {
    const form = await withoutOwnTokens(road.redaction, bytes, caller, client.signal)
    return runRouteCall(road, { ...call, headers: { ...call.headers, 'content-type': type }, body: { form } }, client)
  }
  const options = { caller, dialect: provider.dialect, signal: client.signal, naming: { named: undefined, models: {} } }
  const { body: json } = await readOutgoing(road.redaction, bytes, { ...options, route: 'unmetered' })
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
  if (call && client.hasBegun) return endBrokenStream(call, error, client)
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

const pathOf = (pathAndQuery: string): string => pathAndQuery.split('?', 1)[0]!

const blocked = (method: string, provider: Provider, path: string): CageError =>
  new CageError('price_unknown', `${method} ${path} of ${provider.name} has no price, so it was not sent`, {
    facts: { provider: provider.name, path },
    hint: `to allow it, add "${method} ${path.replaceAll(ID, '/{id}')}" with its price under "providers.${provider.name}.routes" in the configuration`,
  })

/** A segment that is likely to be an id: it has a digit. */
const ID = /\/[^/]*\d[^/]*(?=\/|$)/g

/** Returns the body of a request without our own tokens and, for a metered call, its facts. */
async function readOutgoing(
  { large, incidents, originals }: Redaction,
  bytes: Buffer,
  {
    caller: { agentId },
    dialect,
    signal,
    route,
    naming,
  }: { caller: Caller; dialect: Dialect; signal: AbortSignal; route: Format | 'unmetered'; naming: ModelNaming },
): Promise<Partial<ReadRequest>> {
  // Cancelling or deleting a response needs no body.
  if (bytes.length === 0 && route === 'unmetered') return {}
  const format = route === 'unmetered' ? undefined : route
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

/**
 * Removes keys that clients put into the query, and parameters that the dialect does not forward. Throws CageError
 * `bad_request` for a path with one of our tokens.
 */
function forwardedPath(pathAndQuery: string, dialect: Dialect | undefined): string {
  const isRestricted = dialect?.query !== undefined && pathAndQuery.includes('?')
  if (!isRestricted && !holdsOwnToken(pathAndQuery)) return pathAndQuery
  const [path = '', ...query] = pathAndQuery.split('?')
  if (holdsOwnToken(path)) throw new CageError('bad_request', 'the path contains a token of Iron Cage')
  const kept = query
    .join('?')
    .split('&')
    .filter((parameter) => !holdsOwnToken(parameter) && (!isRestricted || dialect.query!.test(parameter)))
  return [path, ...(kept.length > 0 ? [kept.join('&')] : [])].join('?')
}

async function runService(
  { road, services, maxBodyBytes }: GatewayDeps,
  { caller, name, path }: { caller: Caller; name: string; path: string },
  request: IncomingMessage,
  client: ClientConnection,
): Promise<void> {
  const body = await withoutOwnTokens(
    road.redaction,
    await readBody(request, maxBodyBytes, client.held),
    caller,
    client.signal,
  )
  const reply = await runServiceCall(services, {
    caller,
    service: name,
    method: request.method ?? 'GET',
    path,
    headers: request.headers,
    body,
    signal: client.signal,
  })
  client.send(reply.status, reply.headers, reply.body)
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
