/** Who is calling, and what for: the address and the credentials of a request to the gateway. */

import type { IncomingMessage } from 'node:http'
import type { ApiTokens } from '../access/api-tokens.ts'
import type { Access } from '../access/open-access.ts'
import { ended, type TokenRun } from '../access/run-tokens.ts'
import { DEFAULT_DIALECT, DIALECTS } from '../dialects/dialects.ts'
import { CageError } from '../errors.ts'
import { toRunId } from '../ids.ts'
import { holdsOwnToken } from '../tokens.ts'
import type { Caller, SentKey } from './call.ts'

/** What the address says. */
export interface Address {
  /** The run in the path, by its token or its id; undefined for a client that sends its token as key. */
  run: string | undefined
  /** A provider, or a service when `isService`. */
  name: string
  isService: boolean
  /** After the name, as it came, with query. */
  path: string
}

/** `/gateway/<run>/<name>/…` or `/gateway/<name>/…`. Throws CageError `not_found`. */
export function readAddress(url: string): Address {
  const match = /^\/gateway(?:\/(run_[^/?]+|run-[0-9a-f]{12}))?(\/services)?\/([^/?]+)([^?]*)(\?.*)?$/.exec(url)
  if (!match) {
    throw new CageError('not_found', 'there is nothing at this address of the gateway', {
      hint: "use the base URL from the agent's environment",
    })
  }
  const [, run, services, name, path, query = ''] = match
  const isService = services !== undefined
  return { run, name: name!, isService, path: path! + query }
}

/**
 * Who is calling: a run by its token, in the address or as key; one of a run's processes, where the address has its id; or
 * a client that nobody supervises, by its API token. Rejects with CageError `unauthorized`, `foreign_process`, or
 * `forbidden` for a token that makes no calls.
 */
export async function identifyCaller(
  { run: named }: Address,
  request: IncomingMessage,
  { runTokens, apiTokens }: Pick<Access, 'runTokens' | 'apiTokens'>,
): Promise<Caller> {
  const { socket } = request
  const sent = sentKeys(request).map(({ value }) => value)
  if (named?.startsWith('run-')) return callerOf(await runTokens.identifyById(toRunId(named), socket, sent))
  const token = named ?? sent.find((key) => key.startsWith('run_'))
  if (token === undefined) return clientOf(apiTokens, sent)
  const run = await runTokens.identify(token, socket)
  if (!run) throw ended()
  return callerOf(run)
}

const callerOf = ({ agentId, runId, onRefused }: TokenRun): Caller => ({ agentId, runId, onRefused })

function clientOf(apiTokens: ApiTokens, sent: readonly string[]): Caller {
  const row = sent.map((key) => apiTokens.find(key)).find((found) => found !== undefined)
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
  return { agentId: row.agent_id, runId: null, tokenId: row.id }
}

/** The key that a client has for its provider, and in which dialect's way it came. A token of ours is none. */
export function readSentKey(request: IncomingMessage): SentKey {
  const key = sentKeys(request).find(({ value }) => !holdsOwnToken(value))
  return key ?? { value: undefined, headers: DIALECTS[DEFAULT_DIALECT].authenticate }
}

/** The default dialect's header last: many clients send one there beside their own. */
const sentKeys = ({ headers }: IncomingMessage): (SentKey & { value: string })[] =>
  Object.values(DIALECTS)
    .toReversed()
    .flatMap(({ keyOf, authenticate }) => {
      const value = keyOf(headers)
      return value === undefined ? [] : [{ value, headers: authenticate }]
    })
