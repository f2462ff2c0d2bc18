import type { Format } from '../dialects/dialect.ts'
import type { JsonObject } from '../dialects/json.ts'
import { type Repeats, repeatsOf } from './limits/repeats.ts'

/** The demands of a request, according to its body. */
export interface CallFacts extends ReturnType<Format['readCall']> {
  /** The response may hold much besides its text: tokens with their probabilities, a copy of the request. */
  hasAsides: boolean
  /** The request asks for thinking, whose tokens may be billed without being shown. */
  mayThink: boolean
  repeats: Repeats
}

/** Which model a request is for. */
export interface ModelNaming {
  /** The model that the path names, which comes before the body's; undefined if it names none. */
  named: string | undefined
  /** The model behind each name of this provider, where the two differ (`providers.<name>.models`). */
  models: Readonly<Record<string, string>>
}

/** Throws CageError `bad_request` or `price_unknown`. */
export function readFacts(format: Format, body: JsonObject, { named, models }: ModelNaming): CallFacts {
  const given = named === undefined ? body.model : decodeURIComponent(named)
  const model = typeof given === 'string' && Object.hasOwn(models, given) ? models[given] : given
  return {
    // A dialect that knows better overrides this.
    mayThink: Boolean(body.thinking || body.reasoning || body.reasoning_effort),
    ...format.readCall({ ...body, model }),
    repeats: repeatsOf(body),
    hasAsides: Boolean(body.logprobs || body.top_logprobs || body.include),
  }
}
