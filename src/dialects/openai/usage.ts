/**
 * Usage in OpenAI's shape: chat completions, completions, embeddings, responses and images, of OpenAI and of everybody
 * who speaks like it. The input includes tokens read from and written to a cache, the output includes reasoning.
 */
import type { ReportedUsage, Usage } from '../dialect.ts'
import { isObject, type Json } from '../json.ts'
import { tierTerms, UsageReader } from '../usage.ts'

const INPUT_DETAILS = ['prompt_tokens_details', 'input_tokens_details', 'prompt_token_details', 'input_token_details']
const OUTPUT_DETAILS = ['completion_tokens_details', 'output_tokens_details', 'output_token_details']
const below = (details: readonly string[], ...names: readonly string[]): string[] =>
  details.flatMap((detail) => names.map((name) => `${detail}.${name}`))

/** Gateways in front of Anthropic repeat its counts beside the details. */
const CACHE_READ = 'cache_read_input_tokens'
const CACHE_WRITE = 'cache_creation_input_tokens'
const HOUR = 'ephemeral_1h_input_tokens'

/** Names of each count, in the order of how common they are. */
const NAMES = {
  input: ['prompt_tokens', 'input_tokens'],
  output: ['completion_tokens', 'output_tokens'],
  total: ['total_tokens'],
  cachedInput: [
    ...below(INPUT_DETAILS, 'cached_tokens', 'cache_read_tokens', CACHE_READ),
    // Without details: DeepSeek, Moonshot and Together, Mistral.
    ...['prompt_cache_hit_tokens', 'cached_tokens', 'num_cached_tokens', CACHE_READ],
  ],
  cacheWrite: [
    ...below(INPUT_DETAILS, 'cache_write_tokens', 'cache_creation_tokens', CACHE_WRITE),
    ...['cache_write_tokens', 'cache_creation_tokens', CACHE_WRITE],
  ],
  cacheWriteHour: [
    ...below(INPUT_DETAILS, `cache_creation_token_details.${HOUR}`, `cache_creation.${HOUR}`),
    ...[`cache_creation.${HOUR}`, 'claude_cache_creation_1_h_tokens'],
  ],
  audioInput: below(INPUT_DETAILS, 'audio_tokens'),
  audioOutput: below(OUTPUT_DETAILS, 'audio_tokens'),
  imageOutput: below(OUTPUT_DETAILS, 'image_tokens'),
  /** Of SGLang, which includes it in the output, and of Perplexity, which does not. */
  reasoning: ['reasoning_tokens'],
  reasoningPart: below(OUTPUT_DETAILS, 'reasoning_tokens'),
  citation: ['citation_tokens'],
  searches: ['num_search_queries'],
} as const

/** Included in other counts, at their price. */
const PARTS = [
  ...INPUT_DETAILS,
  ...OUTPUT_DETAILS,
  ...['prompt_cache_miss_tokens', 'cache_creation', 'claude_cache_creation_5_m_tokens'],
]

/** `tier`: the reply's service_tier. `more`: the reply's fields beside its usage. */
export function readOpenAiUsage(
  usage: Json | undefined,
  tier: Json | undefined,
  more: Partial<Usage> = {},
): ReportedUsage | undefined {
  if (!isObject(usage)) return undefined
  const read = new UsageReader(usage)
  const prompt = read.find(...NAMES.input)
  const completion = read.find(...NAMES.output)
  if (prompt === undefined || completion === undefined) return undefined
  read.ignore(PARTS)
  const total = read.count(...NAMES.total)
  const { input, isAbsurd, ...cache } = readCache(read, prompt)
  const reasoning = read.count(...NAMES.reasoning)
  const citation = read.count(...NAMES.citation)
  const isTotal = total > 0 && total >= input + completion
  const beside = isTotal ? { beyond: total - input - completion } : null
  const output = completion + reasoningBeside(read.count(...NAMES.reasoningPart), reasoning, completion, beside)
  const webSearches = read.count(...NAMES.searches)
  const imageOutput = read.find(...NAMES.imageOutput)
  const terms = tierTerms(tier)
  const cost = read.cost()
  return {
    usage: {
      ...{ input, output, ...cache },
      ...used({ audioInput: read.count(...NAMES.audioInput), audioOutput: read.count(...NAMES.audioOutput) }),
      ...used({ reasoning, citation, webSearches }),
      ...(imageOutput !== undefined && { imageOutput }),
      ...read.beyond(input + output, total),
      ...(terms.length > 0 && { terms }),
      ...used(more),
    },
    ...(cost !== undefined && { cost }),
    isFinal: true,
    isRepaired: read.isRepaired || isAbsurd,
  }
}

type Cache = Pick<Usage, 'input' | 'cachedInput' | 'cacheWrite' | 'cacheWriteHour'>

/**
 * Some gateways pass Anthropic's counts on as they are, beside a prompt that does not include them: they are then more
 * than the prompt. Any other cached count above the prompt is impossible, and is taken as zero.
 */
function readCache(read: UsageReader, prompt: number): Cache & { isAbsurd: boolean } {
  const [cached, written] = [read.count(...NAMES.cachedInput), read.count(...NAMES.cacheWrite)]
  const beside = read.count(CACHE_READ) + read.count(CACHE_WRITE)
  const input = beside > prompt ? prompt + beside : prompt
  const isAbsurd = cached > input
  const cachedInput = isAbsurd ? 0 : cached
  const cacheWrite = Math.min(written, input - cachedInput)
  const cacheWriteHour = Math.min(read.count(...NAMES.cacheWriteHour), cacheWrite)
  return { input, cachedInput, cacheWrite: cacheWrite - cacheWriteHour, cacheWriteHour, isAbsurd }
}

/**
 * Returns the reasoning that the completion does not include. x.ai, and Gemini behind this shape, count it in the total
 * alone; without a total, reasoning above the completion is no part of it.
 */
function reasoningBeside(
  part: number,
  reasoning: number,
  completion: number,
  total: { beyond: number } | null,
): number {
  if (total) return Math.min(part, total.beyond)
  const most = Math.max(part, reasoning)
  return most > completion ? most : 0
}

/** Without those of zero. */
const used = (counts: Partial<Usage>): Partial<Usage> =>
  Object.fromEntries(Object.entries(counts).filter(([, count]) => count))

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
