/**
 * The gateway: the HTTP side of calls. What lives here: routes in, errors out, in the provider's own shape. The road of
 * a call is `run-call.ts`, of a service call `run-service-call.ts`; `dialects/` holds how providers speak.
 *
 * An agent's clients call /gateway/<run token>/openai/v1/…, …/anthropic/…, …/services/<name>/…; clients that nobody
 * supervises call /gateway/openai/v1/… with an API token as their key (`caller.ts`). Raw node:http on
 * purpose: every layer between two sockets is latency, and streams need the sockets themselves.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dialect, Format } from '../dialects/dialect.ts'
import { DEFAULT_DIALECT, DIALECT_NAMES, DIALECTS } from '../dialects/dialects.ts'
import { LARGE_BYTES, Pace, parseAnyBody } from '../dialects/large-json.ts'
import { findRoute, normalizePath } from '../dialects/routes.ts'
import { asCageError, CageError, type ErrorCode } from '../errors.ts'
import { newCallId, newRequestId } from '../ids.ts'
import { SECRETS_ONLY } from '../redaction/policy.ts'
import { Redactor } from '../redaction/redactor.ts'
import { holdsOwnToken, holdsPlainToken } from '../tokens.ts'
import type { ProviderKeys } from '../vault/provider-keys.ts'
import type { Caller, LlmCall } from './call.ts'
import { type CallerParts, identifyCaller, readAddress, readSentKey } from './caller.ts'
import { Client, ClientGone, readBody } from './client.ts'
import { OpenStreams } from './open-streams.ts'
import type { Provider } from './provider.ts'
import { isVendors } from './provider.ts'
import { chooseKey, type KeyRequest } from './provider-key.ts'
import { redactText } from './redact-large.ts'
import { endBrokenStream, type RoadParts, runCall } from './run-call.ts'
import { runServiceCall, type ServiceParts } from './run-service-call.ts'
import { TokenCalls } from './token-calls.ts'
import type { UnchargedCalls } from './uncharged.ts'
import { proxyUnmetered } from './unmetered.ts'

export interface GatewayParts extends RoadParts, ServiceParts, CallerParts {
  uncharged: UnchargedCalls
  keys: ProviderKeys
  maxBodyBytes: number
  onFault: (error: unknown, what: string) => void
}

/** Receives whoever could not prove who they are, or may not make calls. */
export type OnRefused = (request: IncomingMessage, error: CageError) => void

/** The listener for every request below /gateway/. Never throws. */
export function gateway(parts: GatewayParts, onRefused: OnRefused) {
  const streams = new OpenStreams()
  const tokenCalls = new TokenCalls(parts.apiTokens)
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const client = new Client(response, parts.clock)
    const exchange: Exchange = {
      request,
      client,
      dialect: DIALECTS[DEFAULT_DIALECT],
      caller: undefined,
      provider: undefined,
      call: undefined,
    }
    try {
      await answer(parts, { streams, tokenCalls }, exchange)
    } catch (thrown) {
      if (thrown instanceof ClientGone) return
      const error = asCageError(thrown)
      if (REFUSALS.has(error.code)) onRefused(request, error)
      exchange.caller?.onRefused?.(error)
      recordRefused(parts, exchange, error)
      refuse(parts, exchange, error)
    }
  }
}

/** Of whoever did not prove to be one who may call. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['unauthorized', 'foreign_process', 'forbidden'])

/** One request and what is known of it so far, for the shape of an error. */
interface Exchange {
  readonly request: IncomingMessage
  readonly client: Client
  dialect: Dialect
  caller: Caller | undefined
  provider: Provider | undefined
  call: LlmCall | undefined
}

/** What is going on now. */
interface Running {
  streams: OpenStreams
  tokenCalls: TokenCalls
}

async function answer(parts: GatewayParts, { streams, tokenCalls }: Running, exchange: Exchange): Promise<void> {
  const { request, client } = exchange
  const address = readAddress(request.url!)
  const { name } = address
  const provider = address.isService ? undefined : parts.upstream.find(name)
  exchange.provider = provider
  exchange.dialect = provider?.dialect ?? exchange.dialect
  if (/^websocket$/i.test(request.headers.upgrade ?? '')) {
    throw new CageError('websocket_unsupported', 'the gateway answers over HTTP only, not over a WebSocket', {
      hint: 'Realtime and Responses over a WebSocket are not supported: set your client to HTTP',
    })
  }
  const caller = await identifyCaller(address, request, parts)
  exchange.caller = caller
  if (caller.tokenId !== undefined) tokenCalls.add(caller.tokenId, client)
  await parts.keys.loaded
  await parts.money.ledger.accounts.load(caller.agentId)
  const given = withoutTokenParameters(address.path)
  if (address.isService) return runService(parts, { caller, name, path: given }, request, client)
  if (!provider) {
    throw new CageError('not_found', `there is no provider "${name}"`, {
      hint: `use ${DIALECT_NAMES.join(', ')}, one of the configuration, or services/<name>`,
    })
  }
  const { dialect } = provider
  // Claude Code asks so whether anybody is there.
  if (request.method === 'HEAD') return client.send(200, {}, '')
  const path = normalizePath(pathOf(given))
  const route = findRoute(dialect.routes, request.method ?? '', path, isVendors(provider))
  if (route === 'blocked') throw blocked(request.method ?? '', provider, path)
  const body = await withoutTokens(await readBody(request, parts.maxBodyBytes), caller, parts)
  const asking: KeyRequest = { caller, provider, sentKey: readSentKey(request) }
  chooseKey(parts, asking) // refuses here who has none: nothing is held yet
  const headers = passedOn(request, dialect)
  const target = path + given.slice(pathOf(given).length)
  if (route === 'unmetered') {
    return proxyUnmetered(parts, asking, { method: request.method!, path: target, headers, bytes: body }, client)
  }
  exchange.call = {
    id: newCallId(),
    ...asking,
    path: dialect.pathPrefix + target,
    headers,
    format: route,
    trace: { hasRow: false },
    ...(await readCall(route, body)),
  }
  using _place = exchange.call.stream ? streams.take(caller.agentId) : undefined
  await runCall(parts, exchange.call, client)
}

/** A call that never came to a hold has its row all the same. */
function recordRefused({ uncharged }: GatewayParts, { caller, provider, call }: Exchange, error: CageError): void {
  if (!caller || !provider || call?.trace.hasRow) return
  const { code, message, row } = error
  const model = call?.model ?? null
  uncharged.record({ caller, provider: provider.name, model, code, status: row.status, refusal: message })
}

function refuse({ onFault, clean }: GatewayParts, { client, dialect, call }: Exchange, thrown: CageError): void {
  if (thrown.code === 'internal') onFault(thrown.cause, 'a call failed inside the gateway')
  const error = thrown.withTexts(clean)
  if (call && client.hasBegun) return endBrokenStream(call, error, client)
  const requestId = call?.id ?? newRequestId()
  const { status, retry } = error.row
  const headers = {
    'content-type': 'application/json',
    'x-request-id': requestId,
    // Both SDKs obey: a refusal that time does not mend is answered once.
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
    hint: 'only routes that are priced or free here are passed on: chat, responses, messages, embeddings and what reads them',
  })

async function readCall(
  format: Format,
  bytes: Buffer,
): Promise<Pick<LlmCall, 'body' | 'isLarge'> & ReturnType<Format['readCall']>> {
  const body = await parseAnyBody(bytes)
  return { body, isLarge: bytes.length >= LARGE_BYTES, ...format.readCall(body) }
}

/**
 * What a provider receives beside the call, in all dialects. No header passes that is not known here or to the dialect: it
 * could carry data, or another meaning than that of the method, path and body that were read here.
 */
const PASSED =
  /^(accept|accept-language|user-agent|idempotency-key|x-request-id|x-client-request-id|x-stainless-.+|x-title|http-referer|x-app|traceparent|tracestate)$/

/** The client's headers for the provider but its key, which is chosen when the request is sent. */
function passedOn({ headers, method }: IncomingMessage, { requestHeaders }: Dialect): Record<string, string> {
  const ofConnection = new Set(headers.connection?.toLowerCase().split(/\s*,\s*/))
  const passed: Record<string, string> = {}
  for (const [header, value] of Object.entries(headers)) {
    if (value === undefined || ofConnection.has(header) || holdsOwnToken(String(value))) continue
    if (PASSED.test(header) || requestHeaders.test(header)) passed[header] = String(value)
  }
  // What is sent is what was parsed, written anew.
  if (method === 'POST') passed['content-type'] = 'application/json'
  passed['accept-encoding'] = 'identity'
  return passed
}

/** Some clients put their key into the query. Throws CageError `bad_request` for a path with a token of ours in it. */
function withoutTokenParameters(pathAndQuery: string): string {
  if (!holdsOwnToken(pathAndQuery)) return pathAndQuery
  const [path = '', ...query] = pathAndQuery.split('?')
  if (holdsOwnToken(path)) throw new CageError('bad_request', 'there is a token of Iron Cage in the path')
  const kept = query
    .join('?')
    .split('&')
    .filter((parameter) => !holdsOwnToken(parameter))
  return [path, ...(kept.length > 0 ? [kept.join('&')] : [])].join('?')
}

/** Whatever the policy's scope: what opens our own doors is sent to nobody. What is put in its place is as good in JSON. */
async function withoutTokens(given: Buffer, { agentId }: Caller, { incidents }: RoadParts): Promise<Buffer> {
  const body = await withoutEscapes(given)
  if (!(await holdsTokens(body))) return body
  const { text, findings } = await redactText(OWN_TOKENS, body.toString('latin1'))
  incidents.recordAll(incidents.newInRequest(findings, agentId), { agentId, callId: null, place: 'request' })
  return Buffer.from(text, 'latin1')
}

/** JSON in which no letter is written as an escape: a token could be. What is no JSON stays as it is. */
async function withoutEscapes(body: Buffer): Promise<Buffer> {
  if (!body.includes('\\u00') || !LETTER_ESCAPE.test(body.toString('latin1'))) return body
  try {
    return Buffer.from(JSON.stringify(await parseAnyBody(body)))
  } catch {
    return body
  }
}

const LETTER_ESCAPE = /\\u00[2-7]/

async function holdsTokens(body: Buffer): Promise<boolean> {
  const pace = new Pace()
  for (let from = 0; from < body.length; from += LOOK_BYTES) {
    if (holdsPlainToken(body.toString('latin1', from, from + LOOK_BYTES + LOOK_OVERLAP))) return true
    await pace.rest()
  }
  return false
}

/** So much of a body is looked at in one go, and so much again with what follows: longer than any token. */
const LOOK_BYTES = 256 * 1024
const LOOK_OVERLAP = 256

const OWN_TOKENS = new Redactor(SECRETS_ONLY)

async function runService(
  parts: GatewayParts,
  { caller, name, path }: { caller: Caller; name: string; path: string },
  request: IncomingMessage,
  client: Client,
): Promise<void> {
  const body = await withoutTokens(await readBody(request, parts.maxBodyBytes), caller, parts)
  const reply = await runServiceCall(parts, {
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
