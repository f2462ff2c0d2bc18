/** One call in our own shape. A request becomes an `LlmCall` at the door; nothing downstream looks at raw input. */
import type { Format } from '../dialects/dialect.ts'
import type { JsonObject } from '../dialects/json.ts'
import type { CageError } from '../errors.ts'
import type { AgentId, CallId, RunId } from '../ids.ts'
import type { RequestBody } from './bodies/request-body.ts'
import type { Provider } from './provider.ts'

/** Who is calling; `runId` is null for a client that is not supervised. */
export interface Caller {
  agentId: AgentId
  runId: RunId | null
  /** Of a client with an API token. */
  tokenId?: string | undefined
  /** Called with each refusal of ours that it is answered with. */
  onRefused?: ((error: CageError) => void) | undefined
}

/** The key that came with a request; what is sent in its place is chosen when it is sent (`provider-key.ts`). */
export interface SentKey {
  value: string | undefined
  /** The headers that carry a key the way this one came. */
  headers: (key: string) => Record<string, string>
}

/** What a request asks for, as far as its body says. */
export interface CallFacts extends ReturnType<Format['readCall']> {
  /** The answer may hold much beside its text: tokens with their probabilities, the request once more. */
  hasAsides: boolean
}

/** Throws CageError `bad_request` or `price_unknown`. */
export const readFacts = (format: Format, body: JsonObject): CallFacts => ({
  ...format.readCall(body),
  hasAsides: Boolean(body.logprobs || body.top_logprobs || body.include),
})

export interface LlmCall extends CallFacts {
  id: CallId
  caller: Caller
  provider: Provider
  format: Format
  /** Path and query below the provider's base URL, e.g. "/chat/completions". */
  path: string
  /** Headers for the provider but its key: the client's, less those that are not its business. */
  headers: Record<string, string>
  sentKey: SentKey
  body: RequestBody
  /** The most tokens that the provider allows for this call, when it refused a limit of ours and named it. */
  outputLimit?: number
  /** Shared by all attempts at it. `hasRow`: one of them is in the ledger. */
  readonly trace: { hasRow: boolean }
  /** The model that the client asked for and that could not answer; undefined for what it asked for itself. */
  fallbackFrom?: { provider: string; model: string; why: string }
}
