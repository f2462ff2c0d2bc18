/** Usage as Ollama reports it: two counts among the other fields of an answer. */
import { type ReportedUsage, tokenCount } from '../dialect.ts'
import type { JsonObject } from '../json.ts'

export function readOllamaUsage({ prompt_eval_count, eval_count }: JsonObject): ReportedUsage | undefined {
  const input = tokenCount(prompt_eval_count)
  const output = tokenCount(eval_count)
  if (input === undefined || output === undefined) return undefined
  const usage = { input, cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0, output }
  return { usage, isFinal: true, isRepaired: false }
}
