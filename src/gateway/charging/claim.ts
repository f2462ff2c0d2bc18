/**
 * The cost of a response: the usage and cost that the provider reports, checked against the possible range.
 *
 * The rules are:
 * - The reported cost is charged, the larger of tokens and amount, even above the hold: the money is spent.
 * - No call reads more than the model's window, or writes more than the longest answer: a report beyond that is
 *   recorded but not charged. So one absurd figure does not use up the whole budget.
 * - No call writes less than it delivered. An answer longer than its limit is charged by its length.
 * - An estimate, made when nothing is reported, is never more than the hold. Counts that may be parts of others add at
 *   most the maximum cost within the call's limits, and are no overrun.
 */
import type { Price } from '../../budget/price.ts'
import { costOf, isExact, maxCostOf } from '../../budget/prices.ts'
import type { Answered } from '../../budget/trust.ts'
import { add, max, min, type Nanodollars, nanodollars, subtract, toUsd, ZERO_NANOS } from '../../core/money.ts'
import type { Usage } from '../../dialects/dialect.ts'
import type { Delivered } from '../bodies/answer.ts'
import type { LlmCall } from '../call.ts'
import type { PricedCall } from './priced-call.ts'

export interface MeasuredUsage {
  usage: Usage
  /** If the provider reports an amount. */
  cost?: Nanodollars
  isRepaired?: boolean
  /** Reported by the provider; otherwise an estimate. */
  isReported: boolean
}

export interface Claim {
  /** The charge. */
  cost: Nanodollars
  /** The cost as reported, without bounds. */
  claimed: Nanodollars
  usage: Usage
  /** The price of the answering model if that is higher. */
  price: Price
  estimated: boolean
  /** More than the call could cost within its limits. */
  isOverrun: boolean
  /** For the call's row: how the cost differs from the price list. */
  remarks: Record<string, string>
}

/** `other`: the price of the model that answered in place of the requested one; null if that has no price. */
export function claimOf(
  call: LlmCall,
  { price: requested, bound, hold, admission, bytes }: PricedCall,
  measured: MeasuredUsage,
  delivered: Pick<Delivered, 'length'>,
  other: Price | null | undefined,
): Claim {
  const wrote = deliveredTokens(call, bytes, delivered)
  const isLonger = wrote > bound.outputTokens
  const usage = isLonger && wrote > measured.usage.output ? { ...measured.usage, output: wrote } : measured.usage
  const onRequested = costOf(requested, usage)
  const onOther = other ? costOf(other, usage) : ZERO_NANOS
  const [price, listed] = other && onOther > onRequested ? [other, onOther] : [requested, onRequested]
  const reported = min(measured.cost ?? ZERO_NANOS, MAX_REPORTED)
  const claimed = max(listed, reported)
  const likely = isLikely(usage, bound) ? listed : costOf(price, likelyPart(usage, bound))
  const maxCost = max(likely, min(reported, bound.largest))
  const limit = nanodollars(Math.ceil(bound.maxCost * admission.factor))
  const known = measured.isReported || isLonger ? min(claimed, maxCost) : min(claimed, hold.maxCost)
  const cost = max(known, min(add(known, unconfirmedCost(price, usage)), limit))
  const isEstimate =
    !measured.isReported ||
    measured.isRepaired ||
    usage !== measured.usage ||
    !isExact(price, usage) ||
    cost !== onRequested
  return {
    // An answer without any reported usage is not free.
    cost: measured.isReported ? cost : max(ONE_NANO, cost),
    claimed: measured.isReported || isLonger ? claimed : cost,
    usage,
    price,
    estimated: isEstimate || other === null,
    isOverrun: (measured.isReported || isLonger) && claimed > Math.max(ONE_NANO, limit),
    remarks: {
      ...(reported > listed && { reported_usd: toUsd(reported) }),
      ...(cost < claimed && { claimed_usd: toUsd(claimed) }),
    },
  }
}

/** Counts that no total confirms cost at most this. */
function unconfirmedCost(price: Price, usage: Usage): Nanodollars {
  const { unknownTokens = 0, unconfirmedTokens = 0 } = usage
  if (unconfirmedTokens === 0) return ZERO_NANOS
  return subtract(costOf(price, { ...usage, unknownTokens: unknownTokens + unconfirmedTokens }), costOf(price, usage))
}

/** Returns how the answer shows that the model obeys its limits, for its trust. */
export function learnedFrom(
  { id: callId, caller, answers, demands }: LlmCall,
  { bound, admission }: Pick<PricedCall, 'bound' | 'admission'>,
  claim: Claim,
): Answered {
  const { price, usage } = claim
  const isUnasked = (term: string) => !demands.terms.includes(term) && !admission.terms.includes(term)
  const terms = (usage.terms ?? []).filter((term) => isUnasked(term) && Object.hasOwn(price.terms ?? {}, term))
  const asked = { ...usage, terms: (usage.terms ?? []).filter((term) => !terms.includes(term)) }
  const claimed = terms.length === 0 ? claim.claimed : min(claim.claimed, costOf(price, asked))
  const withoutTokens = maxCostOf(price, 0, 0)
  const costOfTokens = (input: number, output: number) => subtract(maxCostOf(price, input, output), withoutTokens)
  const slack = costOfTokens(0, SLACK_TOKENS * Math.min(answers, MAX_ANSWERS))
  const tokens = Math.max(0, usage.input - bound.inputTokens)
  const added = { tokens, cost: costOfTokens(tokens, 0) }
  return { agentId: caller.agentId, callId, bound: max(ONE_NANO, bound.maxCost), slack, added, claimed, terms }
}

/** No call that is charged costs less. */
const ONE_NANO = nanodollars(1)
/** No larger amount is counted exactly. */
const MAX_REPORTED = nanodollars(Number.MAX_SAFE_INTEGER)
/** Per answer: an end token, and one that was begun. */
const SLACK_TOKENS = 2
/** More answers add no slack. */
const MAX_ANSWERS = 100

/** Returns true if all of a usage is possible: tokens of the usual kinds alone, within the bounds. */
const isLikely = (
  { input, cachedInput, cacheWrite, cacheWriteHour, output, ...others }: Usage,
  { largestInput, largestOutput }: PricedCall['bound'],
): boolean =>
  input <= largestInput &&
  output <= largestOutput &&
  cachedInput + cacheWrite + cacheWriteHour <= input &&
  Object.keys(others).length === 0

/** The part of a usage that is possible for one call. */
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

/** Maximum searches of a call. */
const MAX_SEARCHES = 1_000

/**
 * The minimum number of tokens written. A token is rarely more than sixteen characters, in JSON not more than
 * twenty-four; data besides the text (token ids, images, a copy of the request) does not count.
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

/** Characters of a whole response besides its text. */
const MAX_ENVELOPE = 8_192
