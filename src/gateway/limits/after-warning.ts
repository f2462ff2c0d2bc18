/** `budget.on_warn`: once an agent's budget has warned, a cheaper model answers its calls. */
import { costOf } from '../../budget/prices.ts'
import type { LlmCall } from '../call.ts'
import { asFallback } from '../provider/model-fallback.ts'
import type { Road } from '../road.ts'

type WarningRoad = Pick<Road, 'cheaper' | 'money' | 'state' | 'upstream'>

/** Returns the call, to the configured model if that has the same dialect and a lower price. */
export async function afterWarning(road: WarningRoad, call: LlmCall): Promise<LlmCall> {
  const { cheaper, state, upstream } = road
  if (!cheaper || !state.read().agents[call.caller.agentId]?.warned) return call
  const provider = upstream.find(cheaper.provider)
  if (provider?.dialect.name !== call.provider.dialect.name || !(await isCheaper(road, call, cheaper))) return call
  return asFallback(upstream, call, cheaper, "the agent's budget has warned")
}

/** Compares what as many tokens of input as of output cost. A model without a price is never chosen. */
async function isCheaper(
  { money: { prices } }: WarningRoad,
  { provider, model }: LlmCall,
  other: { provider: string; model: string },
): Promise<boolean> {
  const priceOf = (name: string, of: string) => prices.get(name, of).catch(() => undefined)
  const [present, cheaper] = await Promise.all([priceOf(provider.name, model), priceOf(other.provider, other.model)])
  return present !== undefined && cheaper !== undefined && costOf(cheaper, SAMPLE) < costOf(present, SAMPLE)
}

const SAMPLE = { input: 1_000_000, cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0, output: 1_000_000 }
