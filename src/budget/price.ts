import type { Rate } from './rate.ts'
import type { Terms } from './service-terms.ts'

/** The price of a model. */
export interface Price {
  input: Rate
  cachedInput: Rate
  cacheWrite: Rate
  cacheWriteHour: Rate
  output: Rate
  /** Undefined if audio has no price. */
  audioInput?: Rate
  audioOutput?: Rate
  /** Cached audio, if it costs more than cached text. */
  cachedAudio?: Rate
  /** Images and video in the answer; undefined if they cost the same as text. */
  imageOutput?: Rate
  /** Tokens that some providers count in addition to the output: reasoning, and the text read of cited sources. */
  reasoning?: Rate
  citation?: Rate
  /** Picodollars per call. (Default: 0.) */
  request?: number
  /** Picodollars per search; undefined if it has no price. */
  webSearch?: number
  /** The same with the older tool, or with a model that always searches. */
  previewSearch?: number
  fileSearch?: number
  /** Factors of service tiers. (Default: none.) */
  terms?: Terms
  /** The model's context window in tokens, if known: no answer is longer. */
  contextWindow: number | null
  /** Maximum output tokens, if known: no limit of ours is above it. */
  outputLimit?: number
  /** The same, if it is also certain that no answer is longer. */
  maxAnswerTokens?: number
  /** Not known to be the price of this model: charges are estimates. */
  isEstimate?: true
  /** Source of the price: the list with its version, or "config". */
  source: string
  /** The day of the prices, as "2026-11-21"; absent for configured prices. */
  date?: string
}
