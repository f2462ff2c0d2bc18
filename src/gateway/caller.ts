/** Who is calling, and what for: the address and the credentials of a request to the gateway. */
import type { IncomingMessage } from 'node:http'
import type { ApiTokens } from '../access/api-tokens.ts'
import type { RunTokens } from '../access/run-tokens.ts'
import { DEFAULT_DIALECT, DIALECTS } from '../dialects/dialects.ts'
import { CageError } from '../errors.ts'
import type { Caller, SentKey } from './call.ts'

export interface CallerParts {
  runTokens: RunTokens
  apiTokens: ApiTokens
}

/** What the address says. */
export interface Address {
  /** The run token in the path; undefined for a client that is not supervised. */
  token: string | undefined
  /** A provider, or a service when `isService`. */
  name: string
  isService: boolean
  /** After the name, with query; without version for a provider. */
  path: string
}

/** `/gateway/<run token>/<name>/…` or `/gateway/<name>/…`. Throws CageError `not_found`. */
export function readAddress(url: string): Address {
  const match = /^\/gateway(?:\/(run_[^/?]+))?(\/services)?\/([^/?]+)([^?]*)(\?.*)?$/.exec(url)
  if (!match) {
    throw new CageError('not_found', 'there is nothing at this address of the gateway', {
      hint: "use the base URL from the agent's environment",
    })
  }
  const [, token, services, name, path, query = ''] = match
  const isService = services !== undefined
  return { token, name: name!, isService, path: (isService ? path! : withoutVersions(path!)) + query }
}

/** Clients put /v1 there never, once or twice, and sometimes a slash too many. */
const withoutVersions = (path: string): string => path.replace(/^(\/+v1(?=\/|$))+/, '').replace(/^\/+/, '/')

/** Throws CageError `unauthorized`, or `forbidden` for a token that makes no calls. */
export function identifyCaller(
  { token }: Address,
  request: IncomingMessage,
  { runTokens, apiTokens }: CallerParts,
): Caller {
  if (token !== undefined) {
    const run = runTokens.find(token)
    if (run) return { agentId: run.agentId, runId: run.runId, onRefused: run.onRefused }
    throw new CageError('unauthorized', 'this run token is not known, or its run has ended', {
      hint: 'start the agent again',
    })
  }
  const row = apiTokens.find(readSentKey(request).value ?? '')
  if (!row) {
    throw new CageError('unauthorized', 'a client that is not supervised needs an API token as its key', {
      hint: 'make one with "iron-cage tokens create"',
    })
  }
  if (row.agent_id === null) {
    throw new CageError('forbidden', `the token "${row.name}" has the role ${row.role}, which makes no calls`, {
      hint: 'make one for a client with "iron-cage tokens create"',
    })
  }
  return { agentId: row.agent_id, runId: null }
}

/** The key a client sent, and in which dialect's way. */
export function readSentKey({ headers }: IncomingMessage): SentKey {
  // The default dialect's header last: many clients send one there beside their own.
  for (const { keyOf, authenticate } of Object.values(DIALECTS).toReversed()) {
    const value = keyOf(headers)
    if (value !== undefined) return { value, headers: authenticate }
  }
  return { value: undefined, headers: DIALECTS[DEFAULT_DIALECT].authenticate }
}
