/** One call in our own shape. A request becomes an `LlmCall` on arrival; nothing downstream reads raw input. */

import type { CageError } from '../core/errors.ts'
import type { AgentId, CallId, RunId } from '../core/ids.ts'
import type { Format } from '../dialects/dialect.ts'
import type { RequestBody } from './bodies/request-body.ts'
import type { CallFacts } from './call-facts.ts'
import type { Provider } from './provider/provider.ts'
import type { Encoder } from './replies/frames.ts'

/** The caller; `runId` is null for a client without supervision. */
export interface Caller {
  agentId: AgentId
  runId: RunId | null
  /** What its run is a part of, outermost: a run, or a client without supervision. (Default: nothing.) */
  partOf?: RunId | AgentId | undefined
  /** For a client with an API token. */
  tokenId?: string | undefined
  tokenName?: string | undefined
  /** The client's own trace (W3C Trace Context). (Default: none.) */
  traceparent?: string | undefined
  /** Called with each error that we answer it with. */
  onRefused?: ((error: CageError) => void) | undefined
}

/** The key that came with a request; the key to send is chosen when it is sent (`provider-key.ts`). */
export interface SentKey {
  value: string | undefined
  /** Returns headers that carry a key the way this one came. */
  headers: (key: string) => Record<string, string>
}

/** Shared by all calls that are made for one request: retries, and those of other models. */
export interface CallTrace {
  /** How many are in the ledger. */
  calls: number
  /** The first one, once another one follows. */
  firstId?: CallId
  /** Of the response, once it streams. */
  encoder?: Encoder
}

export interface LlmCall extends CallFacts {
  id: CallId
  caller: Caller
  provider: Provider
  format: Format
  /** Path and query below the provider's base URL, e.g. "/chat/completions". */
  path: string
  /** Where the path names the model; undefined if the body names it. */
  pathModel: { at: number; length: number } | undefined
  /** Headers for the provider except its key: the client's, less those that are not forwarded. */
  headers: Record<string, string>
  sentKey: SentKey
  body: RequestBody
  /** Maximum output tokens that the provider allows for this call, if it refused our limit and named its own. */
  outputLimit?: number
  readonly trace: CallTrace
  /** The model that the client requested and that could not answer; undefined when the client requested this one. */
  fallbackFrom?: { provider: string; model: string; why: string }
}
