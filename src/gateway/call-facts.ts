import type { Format } from '../dialects/dialect.ts'
import type { JsonObject } from '../dialects/json.ts'

/** What a request asks for, according to its body. */
export interface CallFacts extends ReturnType<Format['readCall']> {
  /** The response may hold much besides its text: tokens with their probabilities, a copy of the request. */
  hasAsides: boolean
  /** The request asks for thinking, whose tokens may be billed without being shown. */
  mayThink: boolean
}

/** Throws CageError `bad_request` or `price_unknown`. */
export const readFacts = (format: Format, body: JsonObject): CallFacts => ({
  ...format.readCall(body),
  hasAsides: Boolean(body.logprobs || body.top_logprobs || body.include),
  mayThink: Boolean(body.thinking || body.reasoning || body.reasoning_effort),
})
