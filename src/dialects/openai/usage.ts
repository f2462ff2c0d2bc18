/** Counts that OpenAI's formats share. */

import type { ReportedUsage } from '../dialect.ts'
import type { Json } from '../json.ts'
import { tierTerms, type UsageReader } from '../usage.ts'

interface Counts {
  /** OpenAI's input includes cache reads and cache writes. */
  input: number
  output: number
  cachedInput: number
  cacheWrite: number
  audioInput: number
  audioOutput: number
  /** The provider's own total; 0 if it reports none. */
  total: number
  /** Undefined if images are not reported. */
  imageOutput?: number | undefined
  /** In addition to input and output, and included in the total. */
  reasoning?: number
  citation?: number
  webSearches?: number
  previewSearches?: number
  fileSearches?: number
}

/** Converts the counts to our shape; tokens of the total that are in no count become unknown tokens. */
export function asReported(read: UsageReader, tier: Json | undefined, counts: Counts): ReportedUsage {
  const { total, imageOutput, ...reported } = counts
  const { input, output, reasoning = 0, citation = 0 } = reported
  const cost = read.cost()
  // More cached than read is impossible; cached is then taken as zero.
  const isAbsurd = reported.cachedInput > input
  const cachedInput = isAbsurd ? 0 : reported.cachedInput
  const unknownTokens = Math.max(0, total - input - output - reasoning - citation) + read.unknownTokens()
  const terms = tierTerms(tier)
  return {
    usage: {
      ...used(reported),
      input,
      output,
      cachedInput,
      cacheWrite: Math.min(reported.cacheWrite, input - cachedInput),
      cacheWriteHour: 0,
      ...(imageOutput !== undefined && { imageOutput }),
      ...(unknownTokens > 0 && { unknownTokens }),
      ...(terms.length > 0 && { terms }),
    },
    ...(cost !== undefined && { cost }),
    isFinal: true,
    isRepaired: read.isRepaired || isAbsurd,
  }
}

/** Without those of zero. */
function used(counts: Omit<Counts, 'total' | 'imageOutput'>): Partial<Counts> {
  const found: Partial<Counts> = {}
  let kind: keyof typeof counts
  for (kind in counts) {
    const count = counts[kind]
    if (count !== undefined && count > 0) found[kind] = count
  }
  return found
}

/**
 * Maximum tokens of one image, by OpenAI's guide "Images and vision" (calculating costs). Models that count tiles:
 * a base and at most 8 tiles of 512 pixels (2,048 × 768). Models that count patches: at most 1,536, and 10,000 with
 * detail "original", times a factor of at most 2.46.
 */
export const imageTokens = (model: string): number =>
  IMAGE_TOKENS.find(([models]) => models.test(model))?.[1] ?? ORIGINAL_DETAIL

const ORIGINAL_DETAIL = 24_600
const IMAGE_TOKENS: readonly (readonly [models: RegExp, max: number])[] = [
  [/^gpt-4o-mini/, 2_833 + 8 * 5_667],
  [/^(gpt-4o|chatgpt-4o|gpt-4-|gpt-4$|gpt-4\.5|o1|o3)/, 85 + 8 * 170],
  [/^(gpt-4\.1|o4-mini|gpt-5-|gpt-5$|gpt-5\.[12])/, Math.ceil(1_536 * 2.46)],
]
