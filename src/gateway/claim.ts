/**
 * What an answer costs: what the provider says it used, and says it costs, held against what can be.
 *
 * The rules are:
 * - What is said is charged, the larger of tokens and amount, also above the hold: the money is gone.
 * - No call reads more than the model's window, or writes more than the longest answer: what is said beyond that is not
 *   charged, and shown. So one absurd figure does not take the whole budget with it.
 * - Nobody writes less than what was delivered. An answer that is longer than its limit counts by its length.
 * - What is estimated when nothing was said is never more than the hold.
 */
import type { Bound } from '../budget/estimate.ts'
import type { Price } from '../budget/price.ts'
import { costOf, isExact, maxCostOf } from '../budget/prices.ts'
import type { Answered } from '../budget/trust.ts'
import type { Usage } from '../dialects/dialect.ts'
import { type Nanodollars, toUsd } from '../money.ts'
import type { Delivered } from './bodies/answer.ts'
import type { LlmCall } from './call.ts'
import type { PricedCall } from './priced-call.ts'

export interface Said {
  usage: Usage
  /** In nanodollars, where the provider names an amount. */
  cost?: number
  isRepaired?: boolean
  /** By the provider; else it is an estimate. */
  isReported: boolean
}

export interface Claim {
  /** What is charged. */
  cost: Nanodollars
  /** What was said, however absurd. */
  claimed: Nanodollars
  usage: Usage
  /** That of the model that answered, where that is the dearer one. */
  price: Price
  estimated: boolean
  /** More than the call could cost within its limits. */
  isOverrun: boolean
  /** For the call's row: what of it is not by the list. */
  remarks: Record<string, string>
}

/** `other`: the price of the model that answered in place of the one that was asked; null where that has none. */
export function claimOf(
  call: LlmCall,
  { price: asked, bound, hold, admission, bytes }: PricedCall,
  said: Said,
  delivered: Pick<Delivered, 'length'>,
  other: Price | null | undefined,
): Claim {
  const wrote = deliveredTokens(call, bytes, delivered)
  const isLonger = wrote > bound.outputTokens
  const usage = isLonger && wrote > said.usage.output ? { ...said.usage, output: wrote } : said.usage
  const price = other && costOf(other, usage) > costOf(asked, usage) ? other : asked
  const reported = Math.min(said.cost ?? 0, Number.MAX_SAFE_INTEGER)
  const claimed = Math.max(costOf(price, usage), reported)
  const likely = costOf(price, likelyPart(usage, bound))
  const maxCost = Math.max(likely, Math.min(reported, bound.largest))
  const cost = said.isReported || isLonger ? Math.min(claimed, maxCost) : Math.min(claimed, hold.maxCost)
  const isEstimate =
    !said.isReported ||
    said.isRepaired ||
    usage !== said.usage ||
    !isExact(price, usage) ||
    cost !== costOf(asked, usage)
  return {
    // An answer for which nobody says anything is not free.
    cost: said.isReported ? cost : Math.max(1, cost),
    claimed: said.isReported || isLonger ? claimed : cost,
    usage,
    price,
    estimated: isEstimate || other === null,
    isOverrun: (said.isReported || isLonger) && claimed > Math.max(1, bound.maxCost * admission.factor),
    remarks: {
      ...(reported > costOf(price, usage) && { reported_usd: toUsd(reported) }),
      ...(cost < claimed && { claimed_usd: toUsd(claimed) }),
    },
  }
}

/** What the answer shows of how the model obeys its limits, for its trust. */
export function learnedFrom({ id: callId, caller, answers }: LlmCall, bound: Bound, claim: Claim): Answered {
  const { price, usage, claimed } = claim
  const costOfTokens = (input: number, output: number) => maxCostOf(price, input, output) - maxCostOf(price, 0, 0)
  const slack = costOfTokens(0, SLACK_TOKENS * Math.min(answers, MAX_ANSWERS))
  const tokens = Math.max(0, usage.input - bound.inputTokens)
  const added = { tokens, cost: costOfTokens(tokens, 0) }
  return { agentId: caller.agentId, callId, bound: Math.max(1, bound.maxCost), slack, added, claimed }
}

/** An end mark, and a token that was begun: of each answer. */
const SLACK_TOKENS = 2
/** More answers do not make more slack. */
const MAX_ANSWERS = 100

/** The part of a usage that one call can have. */
function likelyPart(usage: Usage, { largestInput, largestOutput }: PricedCall['bound']): Usage {
  const input = Math.min(usage.input, largestInput)
  const cachedInput = Math.min(usage.cachedInput, input)
  const cacheWrite = Math.min(usage.cacheWrite, input - cachedInput)
  const at = (max: number, count: number | undefined) => (count === undefined ? undefined : Math.min(count, max))
  return {
    ...usage,
    input,
    cachedInput,
    cacheWrite,
    cacheWriteHour: Math.min(usage.cacheWriteHour, input - cachedInput - cacheWrite),
    output: Math.min(usage.output, largestOutput),
    ...(usage.unknownTokens && { unknownTokens: at(largestInput, usage.unknownTokens) }),
    ...(usage.reasoning && { reasoning: at(largestInput, usage.reasoning) }),
    ...(usage.citation && { citation: at(largestInput, usage.citation) }),
    ...(usage.webSearches && { webSearches: at(MAX_SEARCHES, usage.webSearches) }),
    ...(usage.previewSearches && { previewSearches: at(MAX_SEARCHES, usage.previewSearches) }),
    ...(usage.fileSearches && { fileSearches: at(MAX_SEARCHES, usage.fileSearches) }),
  } as Usage
}

/** No call searches more often. */
const MAX_SEARCHES = 1_000

/**
 * At least so many tokens were written. A token is rarely more than sixteen characters, in JSON not more than
 * twenty-four; what stands beside the text (numbers of tokens, pictures, the request once more) is no text.
 */
function deliveredTokens(
  { stream, hasAsides, demands }: LlmCall,
  bytes: number,
  delivered: Pick<Delivered, 'length'>,
): number {
  if (stream) return Math.floor(delivered.length / 16)
  if (demands.audioOutput || demands.imageOutput || hasAsides) return 0
  return Math.max(0, Math.floor((delivered.length - bytes - MAX_ENVELOPE) / 24))
}

/** Characters of a whole answer that are not its text. */
const MAX_ENVELOPE = 8_192
