/** Identifies the caller and the target: the URL and the credentials of a request to the gateway. */

import type { IncomingMessage } from 'node:http'
import type { ApiTokens } from '../access/api-tokens.ts'
import type { Access } from '../access/open-access.ts'
import { ended, type TokenRun } from '../access/run-tokens.ts'
import { CageError } from '../core/errors.ts'
import { toRunId } from '../core/ids.ts'
import { holdsOwnToken } from '../core/tokens.ts'
import type { Dialect } from '../dialects/dialect.ts'
import { DEFAULT_DIALECT, DIALECTS } from '../dialects/dialects.ts'
import type { Caller, SentKey } from './call.ts'

/** The names in the URL. */
export interface GatewayAddress {
  /** The run in the path, by its token or its id; undefined for a client that sends its token as a key. */
  run: string | undefined
  /** A provider, or a service when `isService`. */
  name: string
  isService: boolean
  /** The rest of the URL after the name, verbatim, with query. */
  path: string
}

/** `/gateway/<run>/<name>/…` or `/gateway/<name>/…`. Throws CageError `not_found`. */
export function readAddress(url: string): GatewayAddress {
  const match = /^\/gateway(?:\/(run_[^/?]+|run-[0-9a-f]{12}))?(\/services)?\/([^/?]+)([^?]*)(\?.*)?$/.exec(url)
  if (!match) {
    throw new CageError('not_found', 'the gateway has no such route', {
      hint: "use the base URL from the agent's environment",
    })
  }
  const [, run, services, name, path, query = ''] = match
  const isService = services !== undefined
  return { run, name: name!, isService, path: path! + query }
}

/**
 * Identifies the caller: a run by its token, in the URL or as a key; a process of a run, where the URL has the run's
 * id; or a client without supervision, by its API token. `keys`: those that it sent. Rejects with CageError `unauthorized`, `foreign_process`, or
 * `forbidden` for a token that makes no calls.
 */
export async function identifyCaller(
  address: GatewayAddress,
  request: IncomingMessage,
  keys: readonly GivenKey[],
  access: Pick<Access, 'runTokens' | 'apiTokens'>,
): Promise<Caller> {
  const caller = await callerBehind(address, request, keys, access)
  const { traceparent } = request.headers
  return typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? { ...caller, traceparent } : caller
}

/** Version 00 of W3C Trace Context. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

async function callerBehind(
  { run: named }: GatewayAddress,
  { socket }: IncomingMessage,
  keys: readonly GivenKey[],
  { runTokens, apiTokens }: Pick<Access, 'runTokens' | 'apiTokens'>,
): Promise<Caller> {
  const sent = keys.map(({ value }) => value)
  if (named?.startsWith('run-')) return callerOf(await runTokens.identifyById(toRunId(named), socket, sent))
  const token = named ?? sent.find((key) => key.startsWith('run_'))
  if (token === undefined) return clientOf(apiTokens, sent)
  const run = await runTokens.identify(token, socket)
  if (!run) throw ended()
  return callerOf(run)
}

const callerOf = ({ agentId, runId, partOf, onRefused }: TokenRun): Caller => ({ agentId, runId, partOf, onRefused })

function clientOf(apiTokens: ApiTokens, sent: readonly string[]): Caller {
  const row = sent.map((key) => apiTokens.find(key)).find((found) => found !== undefined)
  if (!row) {
    throw new CageError('unauthorized', 'a client without supervision needs an API token as its key', {
      hint: 'create one with "iron-cage tokens create"',
    })
  }
  if (row.agent_id === null) {
    throw new CageError('forbidden', `the token "${row.name}" has the role ${row.role}, which makes no calls`, {
      hint: 'create one for a client with "iron-cage tokens create"',
    })
  }
  return { agentId: row.agent_id, runId: null, tokenId: row.id, tokenName: row.name }
}

/** Returns the client's own provider key and the headers that carried it. Our own tokens are not provider keys. */
export const ownKeyOf = (keys: readonly GivenKey[]): SentKey =>
  keys.find(({ value }) => !holdsOwnToken(value)) ?? {
    value: undefined,
    headers: DIALECTS[DEFAULT_DIALECT].authenticate,
  }

export type GivenKey = SentKey & { value: string }

/**
 * Returns the keys that a client sent, in headers of any dialect and in the query of its own. The default dialect's
 * header comes last: many clients send a key there in addition to their own.
 */
export function sentKeys(
  { headers }: IncomingMessage,
  path: string,
  { keyParameter, authenticate }: Pick<Dialect, 'keyParameter' | 'authenticate'>,
): GivenKey[] {
  const inQuery = keyParameter && new URLSearchParams(path.split('?')[1]).get(keyParameter)
  const keys = inQuery ? [{ value: inQuery, headers: authenticate }] : []
  for (const dialect of DEFAULT_LAST) {
    const value = dialect.keyOf(headers)
    if (value !== undefined) keys.push({ value, headers: dialect.authenticate })
  }
  return keys
}

const DEFAULT_LAST: readonly Dialect[] = Object.values(DIALECTS).toReversed()
