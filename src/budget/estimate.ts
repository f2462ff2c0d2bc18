/**
 * The maximum cost of a call before it is sent, and its estimated cost when the provider does not report usage.
 *
 * A byte-level tokenizer never makes more tokens than there are bytes, so the size of the request in bytes bounds its
 * input without tokenizing it. The exact tokenizer is used only when that bound does not fit the money left, or leaves
 * too little of it for the longest answer.
 */

import { CageError } from '../core/errors.ts'
import { divide, max, type Nanodollars, UNLIMITED } from '../core/money.ts'
import type { Demands } from '../dialects/dialect.ts'
import type { Price } from './price.ts'
import { type MaxUses, maxCostOf, outputTokensFor } from './prices.ts'
import { countTokens, MAX_COUNTED_BYTES } from './tokenizer.ts'

/** The properties of a call that bound its cost. */
export interface CallSize {
  /** UTF-8 bytes of the request as it is sent. */
  bytes: number
  /** The client's limit of tokens per answer; null if it set none. */
  maxOutputTokens: number | null
  /** Number of answers requested. */
  answers: number
  /** The text to count when needed, without images; null if no exact tokenizer is known for the model. */
  text: (() => string | Promise<string>) | null
  demands: Demands
  model: string
  /** Tokens that the server adds to the request: a template, its own system prompt. (Default: 0.) */
  addedTokens?: number
}

export interface Bound {
  maxCost: Nanodollars
  /** The maximum cost of one call of the model, with any limit. */
  largest: Nanodollars
  /** No call of this model reads or writes more tokens than these. */
  largestInput: number
  largestOutput: number
  /** Tokens of all answers within the limit that is sent. */
  outputTokens: number
  /** Maximum input tokens; charged for a request that cannot be read if no usage is reported. */
  inputTokens: number
  /**
   * Written into the request when the client set no limit, or one above the model's maximum. Never less than a useful
   * answer, which may be more than the money left pays for.
   */
  clampTo: number | null
  /** Limit of uses of each of the provider's own tools. */
  toolUses: number | null
}

/** Assumed maximum answer of a model for which none is known. */
const MAX_OUTPUT_TOKENS = 131_072
/** The largest current context window. */
const UNKNOWN_WINDOW_TOKENS = 2_000_000
/** Limit written for an unknown model: few models have a lower maximum. */
const UNKNOWN_OUTPUT_TOKENS = 4_096
/** A call without a limit gets this share of the remaining budget, so that others can run in parallel … */
const SHARE = 10
/** … but at least this many tokens if half of the remaining budget pays for them. */
const MIN_OUTPUT_TOKENS = 2_048
/** No answer is cut below this to fit a budget: its cost would buy nothing. */
export const USEFUL_OUTPUT_TOKENS = 256
/** Searches of a model that makes them unasked and reports them afterwards. */
const MAX_OWN_SEARCHES = 50
/** Maximum uses of the provider's own tools without a client limit: Anthropic's own loop ends there. */
const DEFAULT_TOOL_USES = 10
/** Message framing that is in no text: role markers, the wrapping of tool schemas. */
const FRAMING_TOKENS = 64

/**
 * Bounds a call. With `clamp`, a call without a limit gets one if the longest answer of its model costs more than a
 * tenth of the remaining budget; without `clamp`, no limit is written. Throws CageError `price_unknown` for audio and
 * images without a price.
 */
export async function boundCall(price: Price, size: CallSize, available: Nanodollars, clamp: boolean): Promise<Bound> {
  const { demands, addedTokens = 0 } = size
  requireMediaPrice(price, size)
  const bound = (inputTokens: number) => boundWith(price, size, inputTokens, clamp ? available : UNLIMITED)
  // Instead of their bytes: a small file can be a large image, and a large one is scaled down.
  const images = demands.images * demands.imageTokens
  const textBytes = size.bytes - demands.imageBytes
  const unwritten = images + addedTokens + demands.toolTokens
  const byBytes = textBytes + unwritten
  if (demands.serverTools) return boundTools(price, size, byBytes, clamp ? available : UNLIMITED)
  // Cited sources were read outside the request.
  if (demands.isInputUnseen || price.citation) return bound(Math.max(byBytes, windowOf(price)))
  const loose = bound(byBytes)
  // Audio has more bytes than tokens, and no tokenizer.
  const isCounted = COUNTED.test(size.model) && textBytes <= MAX_COUNTED_BYTES && !demands.audioInput
  const isEnough = loose.maxCost <= available && (loose.clampTo === null || size.maxOutputTokens !== null)
  if (isEnough || !size.text || !isCounted) return loose
  const counted = (await countTokens(await size.text(), size.model)) + FRAMING_TOKENS
  return bound(Math.min(textBytes, counted) + unwritten)
}

function boundWith(price: Price, size: CallSize, inputTokens: number, available: Nanodollars, toolUses = 0): Bound {
  const { maxOutputTokens: requested, answers, demands } = size
  const uses = usesOf(price, size, toolUses)
  const maxAnswer = price.maxAnswerTokens ?? price.contextWindow
  const longest = price.outputLimit ?? maxAnswer ?? MAX_OUTPUT_TOKENS
  const isCompacted = demands.compactsFrom !== null && inputTokens >= demands.compactsFrom
  const costOf = (input: number, output: number) =>
    isCompacted ? maxCostOf(price, input * 2, output + longest, uses) : maxCostOf(price, input, output, uses)
  const bound = (output: number, clampTo: number | null): Bound => {
    const outputTokens = atMost((output + demands.predictedBytes) * answers)
    const maxCost = costOf(inputTokens, outputTokens)
    const largestInput = Math.max(inputTokens, windowOf(price))
    const largestOutput = atMost((Math.max(output, longest) + demands.predictedBytes) * answers)
    const largest = max(maxCost, costOf(largestInput, largestOutput))
    return { maxCost, largest, largestInput, largestOutput, outputTokens, inputTokens, clampTo, toolUses: null }
  }
  const isClamped = available !== UNLIMITED
  const ceiling = Math.max(price.outputLimit ?? 0, maxAnswer ?? MAX_OUTPUT_TOKENS)
  if (requested !== null) {
    if (requested <= ceiling || !isClamped) return bound(requested, null)
    const limit = price.outputLimit ?? ceiling
    return bound(limit, limit)
  }
  const affordable = (parts: number) =>
    Math.floor(outputTokensFor(price, inputTokens, divide(available, parts), uses) / answers) - demands.predictedBytes
  const share = affordable(SHARE)
  // Without a limit the answer can be as long as the model allows.
  const isFree = share === Math.floor(Number.MAX_SAFE_INTEGER / answers) - demands.predictedBytes
  if (!isClamped || isFree || (maxAnswer !== null && maxAnswer <= share))
    return bound(maxAnswer ?? MAX_OUTPUT_TOKENS, null)
  const most = Math.min(price.outputLimit ?? UNKNOWN_OUTPUT_TOKENS, roomFor(price, size))
  const target = Math.max(share, Math.min(MIN_OUTPUT_TOKENS, affordable(2)), USEFUL_OUTPUT_TOKENS)
  const limit = Math.min(target, most)
  return bound(limit, limit)
}

/** Returns the window's room for an answer; providers refuse a higher limit. Most texts have 4 bytes per token, few 2. */
function roomFor({ contextWindow }: Price, { bytes, demands }: CallSize): number {
  if (contextWindow === null) return Number.POSITIVE_INFINITY
  const room = contextWindow - Math.ceil((bytes - demands.imageBytes) / 2) - demands.images * demands.imageTokens
  return room >= 1 ? room : Number.POSITIVE_INFINITY
}

/**
 * Bounds a call in which the provider runs tools: each use costs, adds its result to the input, and makes the model
 * read everything again, a context window at most. Without a client limit, half of the budget bounds the uses.
 */
function boundTools(price: Price, size: CallSize, bytes: number, available: Nanodollars): Bound {
  const { count, uses } = size.demands.serverTools!
  const window = Math.max(bytes, windowOf(price))
  const boundFor = (each: number) =>
    boundWith(price, size, atMost(window * (1 + each * count)), available, atMost(each * count))
  if (uses !== null) return boundFor(uses)
  let each = DEFAULT_TOOL_USES
  while (each > 1 && boundFor(each).maxCost > available / 2) each -= 1
  return { ...boundFor(each), toolUses: each }
}

const usesOf = (price: Price, { demands }: CallSize, toolUses: number): MaxUses => ({
  audioTokens: demands.audioBytes,
  audioOutput: demands.audioOutput,
  searches: demands.searches + toolUses + (price.citation ? MAX_OWN_SEARCHES : 0),
  besideTokens: price.citation || price.reasoning ? windowOf(price) : 0,
  terms: demands.terms,
})

/** Values from clients may exceed safe integers; they exceed any budget anyway. */
const atMost = (tokens: number): number => Math.min(tokens, Number.MAX_SAFE_INTEGER)

const windowOf = (price: Price): number => price.contextWindow ?? UNKNOWN_WINDOW_TOKENS

function requireMediaPrice(price: Price, { demands, model }: CallSize): void {
  const { audioInput, audioOutput, imageOutput } = demands
  if ((audioInput && !price.audioInput) || (audioOutput && !price.audioOutput)) {
    throw new CageError('price_unknown', `no price is known for the audio of "${model}", so the call was not sent`, {
      facts: { model },
      hint: 'add audio_input_per_mtok and audio_output_per_mtok under "prices" in the configuration',
    })
  }
  if (imageOutput && !price.imageOutput) {
    throw new CageError('price_unknown', `no price is known for images by "${model}", so the call was not sent`, {
      facts: { model, field: 'modalities' },
      hint: 'leave "image" out of "modalities", or add image_output_per_mtok under "prices" in the configuration',
    })
  }
}

/** Models with a known tokenizer; for others a count would be a guess. */
const COUNTED = /^(ft:)?(gpt-|chatgpt-|o\d|codex-|text-embedding)/
