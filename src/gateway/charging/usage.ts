/** The usage of a response: as reported by the provider, or else estimated. */
import type { ReportedUsage, Usage } from '../../dialects/dialect.ts'
import type { Delivered } from '../bodies/answer.ts'
import type { LlmCall } from '../call.ts'
import type { MeasuredUsage } from './claim.ts'
import type { PricedCall } from './priced-call.ts'

/** `reported`: by the provider; else request and `delivered` are counted by tokenizer. */
export async function usageOf(
  call: LlmCall,
  priced: PricedCall,
  reported: ReportedUsage | undefined,
  delivered: Delivered,
): Promise<MeasuredUsage> {
  const isReported = reported?.isFinal && !isSuspicious(reported.usage, delivered, priced)
  // Preview searches are charged even though no reply reports them.
  const { searches } = call.demands
  const unreported = searches > 0 ? { previewSearches: searches } : {}
  if (isReported) return { ...reported, usage: { ...unreported, ...reported.usage }, isReported }
  return { usage: { ...unreported, ...(await estimatedUsage(call, priced, reported, delivered)) }, isReported: false }
}

/** A long answer with zero output tokens is not believed, if output costs anything, nor is any with nothing read for it. */
const isSuspicious = ({ input, output }: Usage, delivered: Delivered, { price }: PricedCall): boolean =>
  output === 0 &&
  price.output.base > 0 &&
  (delivered.length > SUSPICIOUS_CHARACTERS || (input === 0 && delivered.length > 0))

/** Length from which an answer is long. */
const SUSPICIOUS_CHARACTERS = 2_000

async function estimatedUsage(
  call: LlmCall,
  { bound }: PricedCall,
  reported: ReportedUsage | undefined,
  delivered: Delivered,
): Promise<Usage> {
  const { serverTools } = call.demands
  return {
    ...NOTHING_CACHED,
    ...reported?.usage,
    // Assumes that the provider's own tools ran as often as allowed.
    ...(serverTools && { webSearches: serverTools.count * (serverTools.uses ?? bound.toolUses ?? 0) }),
    input: await estimatedInput(call, bound, reported),
    output: Math.max(reported?.usage.output ?? 0, await delivered.tokens(call.model)),
  }
}

const NOTHING_CACHED = { cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0 }

/** Assumes the maximum for what cannot be counted. */
async function estimatedInput(
  { body, model, demands }: LlmCall,
  { inputTokens }: PricedCall['bound'],
  reported: ReportedUsage | undefined,
): Promise<number> {
  const isUnseen = demands.isInputUnseen || demands.references.length > 0
  if (demands.serverTools || (isUnseen && !reported)) return inputTokens
  if (reported) return reported.usage.input
  const tokens = await body.tokens(model)
  return tokens === undefined ? inputTokens : tokens + demands.images * demands.imageTokens
}
