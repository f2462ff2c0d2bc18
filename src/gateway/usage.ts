/** What an answer used: what the provider says, or what can be known where it does not say. */
import type { ReportedUsage, Usage } from '../dialects/dialect.ts'
import type { Delivered } from './bodies/answer.ts'
import type { LlmCall } from './call.ts'
import type { Said } from './claim.ts'
import type { PricedCall } from './priced-call.ts'

/** `reported`: by the provider; else request and `delivered` are counted by tokenizer. */
export async function usageOf(
  call: LlmCall,
  priced: PricedCall,
  reported: ReportedUsage | undefined,
  delivered: Delivered,
): Promise<Said> {
  const isReported = reported?.isFinal && !isSuspicious(reported.usage, delivered, priced)
  // Searches that no reply reports are made all the same.
  const { searches } = call.demands
  const unsaid = searches > 0 ? { previewSearches: searches } : {}
  if (isReported) return { ...reported, usage: { ...unsaid, ...reported.usage }, isReported }
  return { usage: { ...unsaid, ...(await estimatedUsage(call, priced, reported, delivered)) }, isReported: false }
}

/** No output is not believed of a long answer, where output costs anything. */
const isSuspicious = ({ output }: Usage, delivered: Delivered, { price }: PricedCall): boolean =>
  output === 0 && delivered.length > SUSPICIOUS_CHARACTERS && price.output.base > 0

/** From here on an answer is long. */
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
    // The provider's own tools ran as often as they might have.
    ...(serverTools && { webSearches: serverTools.count * (serverTools.uses ?? bound.toolUses ?? 0) }),
    input: await estimatedInput(call, bound, reported),
    output: Math.max(reported?.usage.output ?? 0, await delivered.tokens(call.model)),
  }
}

const NOTHING_CACHED = { cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0 }

/** What cannot be counted is taken for the most. */
async function estimatedInput(
  { body, model, demands }: LlmCall,
  { inputTokens }: PricedCall['bound'],
  reported: ReportedUsage | undefined,
): Promise<number> {
  if (demands.serverTools || (demands.isInputUnseen && !reported)) return inputTokens
  if (reported) return reported.usage.input
  const tokens = await body.tokens(model)
  return tokens === undefined ? inputTokens : tokens + demands.images * demands.imageTokens
}
