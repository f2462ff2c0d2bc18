import type { Rate } from './rate.ts'
import type { Terms } from './service-terms.ts'

/** What a model costs. */
export interface Price {
  input: Rate
  cachedInput: Rate
  cacheWrite: Rate
  cacheWriteHour: Rate
  output: Rate
  /** Undefined where audio has no price. */
  audioInput?: Rate
  audioOutput?: Rate
  /** Audio that was cached, where it costs more than text that was. */
  cachedAudio?: Rate
  /** Images and films in the answer; undefined where they cost what text does. */
  imageOutput?: Rate
  /** What some providers count beside the output: reasoning, and what was read of the sources it cites. */
  reasoning?: Rate
  citation?: Rate
  /** Picodollars for the call itself. (Default: 0.) */
  request?: number
  /** Picodollars for one search; undefined where it has no price. */
  webSearch?: number
  /** The same with the older tool, or with a model that always searches. */
  previewSearch?: number
  fileSearch?: number
  /** Factors of service tiers. (Default: none is known.) */
  terms?: Terms
  /** The model's context window in tokens, when known: no answer is longer. */
  contextWindow: number | null
  /** The most tokens it answers with, when known: no limit of ours is above it. */
  outputLimit?: number
  /** The same where it is also certain that no answer is longer. */
  maxAnswerTokens?: number
  /** Where the price is from: the list with its version, or "config". */
  source: string
  /** The day whose prices these are, as "2026-11-21"; prices of the configuration have none. */
  date?: string
}
