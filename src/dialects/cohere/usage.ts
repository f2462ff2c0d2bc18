/** Usage as Cohere bills it; its other counts, such as its own templates, cost nothing. */
import type { ReportedUsage } from '../dialect.ts'
import { isObject, type Json } from '../json.ts'
import { UsageReader } from '../usage.ts'

/** `usage`: of a chat; `meta` of other answers. */
export function readCohereUsage(usage: Json | undefined): ReportedUsage | undefined {
  const billed = isObject(usage) ? usage.billed_units : undefined
  if (!isObject(billed)) return undefined
  const read = new UsageReader(billed)
  const input = read.count('input_tokens')
  const output = read.count('output_tokens')
  const searches = read.count('search_units')
  if (input + output + searches === 0) return undefined
  return {
    usage: {
      ...{ input, cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0, output },
      // These take the place of the searches that the request was held for.
      ...(searches > 0 && { previewSearches: searches }),
      ...read.beyond(input + output, 0),
    },
    isFinal: true,
    isRepaired: read.isRepaired,
  }
}
