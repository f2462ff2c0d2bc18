/**
 * The gateway: the HTTP side of calls. What lives here: routes in, errors out, in the provider's own shape. The road of
 * a call is `run-call.ts`, of a service call `run-service-call.ts`; `providers/` speaks the dialects.
 *
 * An agent's clients call /gateway/<run token>/openai/v1/…, …/anthropic/…, …/services/<name>/…. Raw node:http on
 * purpose: every layer between two sockets is latency, and streams need the sockets themselves.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RunTokens } from '../access/run-tokens.ts'
import { asCageError, CageError } from '../errors.ts'
import { newCallId, newRequestId } from '../ids.ts'
import type { Caller, LlmCall } from './call.ts'
import { Client, ClientGone, readBody } from './client.ts'
import { parseBody } from './json.ts'
import { openai } from './providers/openai.ts'
import type { Dialect, Provider } from './providers/provider.ts'
import { passedHeaders, readAll } from './reply.ts'
import { endBrokenStream, type RoadParts, runCall } from './run-call.ts'
import { runServiceCall, type ServiceParts } from './run-service-call.ts'

export interface GatewayParts extends RoadParts, ServiceParts {
  runTokens: RunTokens
  /** Keys for agents that carry their run token instead of one, by provider. */
  providerKeys: Readonly<Record<string, string | undefined>>
  maxBodyBytes: number
  onFault: (error: unknown, what: string) => void
}

/** What a gateway URL says: whose call it is and where it goes. */
interface Target {
  caller: Caller
  name: string
  /** After the provider's or service's name, with query. */
  path: string
}

/** The listener for every request below /gateway/. Never throws. */
export function gateway(parts: GatewayParts) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const client = new Client(response)
    let dialect: Dialect = openai
    let call: LlmCall | undefined
    try {
      const { caller, name, path } = parseTarget(request.url!, parts.runTokens, (found) => {
        dialect = parts.upstream.find(found)?.dialect ?? openai
      })
      if (name.startsWith('services/')) {
        return await runService(parts, { caller, name: name.slice('services/'.length), path }, request, client)
      }
      const provider = parts.upstream.find(name)
      if (!provider)
        throw new CageError('not_found', `there is no provider "${name}"`, {
          hint: 'use openai, anthropic or services/<name>',
        })
      const route = dialect.route(request.method ?? '', pathOf(path))
      if (request.method === 'HEAD') return client.send(200, {}, '')
      if (route === 'unpriced') throw unpriced(request.method ?? '', provider, pathOf(path))
      const body = await readBody(request, parts.maxBodyBytes)
      const headers = providerHeaders(request, provider, parts)
      if (route === 'free')
        return await passFree(parts, provider, request.method as 'GET' | 'POST', path, headers, body, client)
      call = { id: newCallId(), caller, provider, path: dialect.pathPrefix + path, headers, ...readCall(dialect, body) }
      await runCall(parts, call, client)
    } catch (error) {
      if (error instanceof ClientGone) return
      const known = asCageError(error)
      if (known.code === 'internal') parts.onFault(error, 'a call failed inside the gateway')
      if (call && client.hasBegun) endBrokenStream(call, known, client)
      else refuse(client, dialect, known, call?.id ?? newRequestId())
    }
  }
}

function refuse(client: Client, dialect: Dialect, error: CageError, requestId: string): void {
  const { status, retry } = error.row
  const headers = {
    'content-type': 'application/json',
    'x-request-id': requestId,
    // Both SDKs obey: a refusal that time does not mend is answered once.
    ...(retry ? {} : { 'x-should-retry': 'false' }),
    ...(error.retryAfterS === undefined ? {} : { 'retry-after': String(error.retryAfterS) }),
  }
  client.send(status, headers, JSON.stringify(dialect.errorBody(error, requestId)))
}

/** Throws CageError `unauthorized` or `not_found`. `onName`: told the provider before anything can be refused. */
function parseTarget(url: string, runTokens: RunTokens, onName: (name: string) => void): Target {
  const match = /^\/gateway\/([^/?]+)\/(services\/[^/?]+|[^/?]+)([^?]*)(\?.*)?$/.exec(url)
  if (!match)
    throw new CageError('not_found', 'there is nothing at this address of the gateway', {
      hint: "use the base URL from the agent's environment",
    })
  const [, token, name, path, query = ''] = match
  onName(name!)
  const run = runTokens.find(token!)
  if (!run)
    throw new CageError('unauthorized', 'this run token is not known, or its run has ended', {
      hint: 'start the agent again',
    })
  return {
    caller: { agentId: run.agentId, runId: run.runId },
    name: name!,
    path: withoutVersions(name!, path!) + query,
  }
}

/** Clients put /v1 there never, once or twice, and sometimes a slash too many. */
const withoutVersions = (name: string, path: string): string =>
  name.startsWith('services/') ? path : path.replace(/^(\/+v1(?=\/|$))+/, '').replace(/^\/+/, '/')

const pathOf = (pathAndQuery: string): string => pathAndQuery.split('?', 1)[0]!

const unpriced = (method: string, provider: Provider, path: string): CageError =>
  new CageError('price_unknown', `${method} ${path} of ${provider.name} has no price, so it was not sent`, {
    facts: { provider: provider.name, path },
    hint: 'a route that costs money nobody can count would be a hole in the budget',
  })

function readCall(dialect: Dialect, bytes: Buffer): Omit<LlmCall, 'id' | 'caller' | 'provider' | 'path' | 'headers'> {
  const body = parseBody(bytes)
  return { body, ...dialect.readCall(body) }
}

/** Not the provider's business: hop by hop, ours, or replaced. */
const DROPPED =
  /^(host|connection|keep-alive|transfer-encoding|te|trailer|upgrade|proxy-.+|content-length|accept-encoding|cookie|origin|referer|sec-.+|expect|forwarded|x-forwarded-.+)$/

/** Throws CageError `provider_key_missing`. */
function providerHeaders(
  { headers }: IncomingMessage,
  { name, dialect }: Provider,
  { providerKeys, runTokens }: GatewayParts,
): Record<string, string> {
  const passed = Object.fromEntries(
    Object.entries(headers)
      .filter(([header, value]) => value !== undefined && !DROPPED.test(header))
      .map(([header, value]): [string, string] => [header, String(value)]),
  )
  const { authorization, 'x-api-key': apiKey, ...rest } = passed
  const own = apiKey ?? authorization?.replace(/^bearer\s+/i, '')
  const key = own && !runTokens.find(own) ? own : providerKeys[name]
  if (!key) {
    throw new CageError('provider_key_missing', `there is no key for ${name}`, { facts: { provider: name } })
  }
  // Whichever way the client sent its key, the provider gets it in the same.
  const carrier: Record<string, string> =
    apiKey !== undefined || dialect.name === 'anthropic' ? { 'x-api-key': key } : { authorization: `Bearer ${key}` }
  return { ...rest, ...carrier, 'accept-encoding': 'identity' }
}

/** Routes that cost nothing: lists of models, counting tokens. */
async function passFree(
  { upstream, redactor }: GatewayParts,
  provider: Provider,
  method: 'GET' | 'POST',
  path: string,
  headers: Record<string, string>,
  body: Buffer,
  client: Client,
): Promise<void> {
  const sent = method === 'GET' ? undefined : JSON.stringify(parseBody(body))
  const answer = await upstream.send({
    provider,
    method,
    path: provider.dialect.pathPrefix + path,
    headers,
    body: sent,
    signal: client.signal,
  })
  const bytes = await readAll(answer.body, provider.name)
  client.send(answer.status, passedHeaders(answer.headers), redactor.redact(bytes.toString('utf8')).text)
}

async function runService(
  parts: GatewayParts,
  { caller, name, path }: Target,
  request: IncomingMessage,
  client: Client,
): Promise<void> {
  const body = await readBody(request, parts.maxBodyBytes)
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
