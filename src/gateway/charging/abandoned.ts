/**
 * The cost of a call that was ended on this side before its answer was complete: its client left, or the call was
 * canceled. A provider that is hung up on may finish the answer and bill it, so the call is charged the most it can
 * cost. Only a stream that shows all its tokens, to a client that kept up with it, is charged by the delivered tokens.
 */
import { min, type Nanodollars, nanodollars } from '../../core/money.ts'
import type { LlmCall } from '../call.ts'
import type { PricedCall } from './priced-call.ts'

/** How far the answer of an abandoned call had come. */
export interface AbandonedAnswer {
  /** Frames of it were read. */
  hasBegun: boolean
  /** The client had unread data, so the provider may have written much more. */
  isBehind: boolean
}

/** Returns the minimum charge of an abandoned call; undefined if only the delivered tokens can be billed. */
export function abandonedCost(
  call: Pick<LlmCall, 'model' | 'mayThink' | 'demands'>,
  { bound, hold, admission }: Pick<PricedCall, 'bound' | 'hold' | 'admission'>,
  { hasBegun, isBehind }: AbandonedAnswer,
): Nanodollars | undefined {
  if (hasBegun && !isBehind && showsAllTokens(call)) return undefined
  return min(hold.maxCost, nanodollars(Math.ceil(bound.maxCost * admission.factor)))
}

const showsAllTokens = ({ model, mayThink, demands }: Pick<LlmCall, 'model' | 'mayThink' | 'demands'>): boolean =>
  !mayThink && demands.serverTools === null && WITHOUT_HIDDEN_TOKENS.test(model.replace(VENDOR, ''))

const VENDOR = /^[\w.-]+\//
/** Models that write no hidden tokens unless the request asks for thinking. Others may reason before they answer. */
const WITHOUT_HIDDEN_TOKENS = /^(gpt-3\.5|gpt-4|chatgpt-4o|claude-(instant|[23]|(opus|sonnet|haiku)-4))/
