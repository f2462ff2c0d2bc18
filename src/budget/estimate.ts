/**
 * What a call can cost at most, before it is sent, and what it did cost when the provider did not say.
 *
 * A byte-level tokenizer never makes more tokens than there are bytes, so the length of the request in bytes bounds its
 * input without looking at it. The exact tokenizer is asked only when that bound does not fit the money left.
 */
import type { Demands } from '../dialects/dialect.ts'
import { CageError } from '../errors.ts'
import type { Nanodollars } from '../money.ts'
import type { Price } from './price.ts'
import { type MaxUses, maxCostOf, outputTokensFor } from './prices.ts'
import { countTokens, MAX_COUNTED_BYTES } from './tokenizer.ts'

/** What the bound needs to know of a call. */
export interface CallSize {
  /** UTF-8 bytes of the request as it is sent. */
  bytes: number
  /** Most tokens of one answer as the client wants it; null when it did not say. */
  maxOutputTokens: number | null
  /** How many answers are asked for. */
  answers: number
  /** The text to count when it matters, without images; null where no exact tokenizer is known for the model. */
  text: (() => string | Promise<string>) | null
  demands: Demands
  model: string
  /** Tokens that the server reads beside the request: a template, a system prompt of its own. (Default: 0.) */
  addedTokens?: number
}

export interface Bound {
  maxCost: Nanodollars
  /** The most that the model can cost in one call, whatever limit it was given. */
  largest: Nanodollars
  /** No call of this model reads or writes more tokens than that. */
  largestInput: number
  largestOutput: number
  /** Tokens of all answers within the limit that is sent. */
  outputTokens: number
  /** Tokens of input at most; what is charged of a request that cannot be seen when nobody says what was read. */
  inputTokens: number
  /** Written into the request when the client did not say how much it wants, or more than any model gives. */
  clampTo: number | null
  /** The same for each of the provider's own tools. */
  toolUses: number | null
}

/** What a model whose maxAnswer answer is not known is taken to answer with at most. */
const MAX_OUTPUT_TOKENS = 131_072
/** The largest context window of today. */
const UNKNOWN_WINDOW_TOKENS = 2_000_000
/** A limit that is written for a model of which nothing is known: few answer with less. */
const UNKNOWN_OUTPUT_TOKENS = 4_096
/** A call that did not say how much it wants gets this share of what is left, so that others can run beside it … */
const SHARE = 10
/** … but so many tokens while half of what is left pays for them. */
const MIN_OUTPUT_TOKENS = 2_048
/** Searches of a model that makes them of its own accord and counts them afterwards. */
const MAX_OWN_SEARCHES = 50
/** How often the provider's own tools run at most, where the client did not say: Anthropic's own loop ends there. */
const UNSTATED_TOOL_USES = 10
/** Message framing that is in no text: role marks, tool schemas' wrapping. */
const FRAMING_TOKENS = 64

/**
 * Bounds a call. With `clamp`, a call that did not say how much it wants is limited where the maxAnswer answer of its model
 * costs more than a tenth of what is left; without, no limit is written. Throws CageError `price_unknown` for audio and
 * images without a price.
 */
export async function boundCall(price: Price, size: CallSize, available: Nanodollars, clamp: boolean): Promise<Bound> {
  const { demands, addedTokens = 0 } = size
  requireMediaPrice(price, size)
  const bound = (inputTokens: number) =>
    boundWith(price, size, inputTokens, clamp ? available : Number.POSITIVE_INFINITY)
  // In place of their bytes: a small file can be a large image, and a large one is scaled down.
  const images = demands.images * demands.imageTokens
  const textBytes = size.bytes - demands.imageBytes
  const byBytes = textBytes + images + addedTokens
  if (demands.serverTools) return boundTools(price, size, byBytes, clamp ? available : Number.POSITIVE_INFINITY)
  // What is cited was read somewhere else.
  if (demands.isInputUnseen || price.citation) return bound(Math.max(byBytes, windowOf(price)))
  const loose = bound(byBytes)
  // Audio has more bytes than tokens, and no tokenizer.
  const isCounted = COUNTED.test(size.model) && textBytes <= MAX_COUNTED_BYTES && !demands.audioInput
  if (loose.maxCost <= available || !size.text || !isCounted) return loose
  const counted = (await countTokens(await size.text(), size.model)) + FRAMING_TOKENS
  return bound(Math.min(textBytes, counted) + images + addedTokens)
}

function boundWith(price: Price, size: CallSize, inputTokens: number, available: Nanodollars, toolUses = 0): Bound {
  const { maxOutputTokens: stated, answers } = size
  const uses = usesOf(price, size, toolUses)
  const maxAnswer = price.maxAnswerTokens ?? price.contextWindow
  const bound = (output: number, clampTo: number | null): Bound => {
    const outputTokens = atMost(output * answers)
    const maxCost = maxCostOf(price, inputTokens, outputTokens, uses)
    const largestInput = Math.max(inputTokens, windowOf(price))
    const largestOutput = atMost(Math.max(output, price.outputLimit ?? maxAnswer ?? MAX_OUTPUT_TOKENS) * answers)
    const largest = Math.max(maxCost, maxCostOf(price, largestInput, largestOutput, uses))
    return { maxCost, largest, largestInput, largestOutput, outputTokens, inputTokens, clampTo, toolUses: null }
  }
  const isClamped = Number.isFinite(available)
  const ceiling = Math.max(price.outputLimit ?? 0, maxAnswer ?? MAX_OUTPUT_TOKENS)
  if (stated !== null) {
    if (stated <= ceiling || !isClamped) return bound(stated, null)
    const limit = price.outputLimit ?? ceiling
    return bound(limit, limit)
  }
  const affordable = (money: number) =>
    Math.floor(outputTokensFor(price, inputTokens, Math.floor(money), uses) / answers)
  const share = affordable(available / SHARE)
  // Without a limit the provider answers with as much as the model can.
  const isFree = share === Math.floor(Number.MAX_SAFE_INTEGER / answers)
  if (!isClamped || isFree || (maxAnswer !== null && maxAnswer <= share))
    return bound(maxAnswer ?? MAX_OUTPUT_TOKENS, null)
  const wanted = Math.max(share, Math.min(MIN_OUTPUT_TOKENS, affordable(available / 2)))
  const limit = Math.max(1, Math.min(wanted, price.outputLimit ?? UNKNOWN_OUTPUT_TOKENS, roomFor(price, size)))
  return bound(limit, limit)
}

/** What the window leaves for an answer: providers refuse a limit above it. Most texts have four bytes a token, few two. */
function roomFor({ contextWindow }: Price, { bytes, demands }: CallSize): number {
  if (contextWindow === null) return Number.POSITIVE_INFINITY
  const room = contextWindow - Math.ceil((bytes - demands.imageBytes) / 2) - demands.images * demands.imageTokens
  return room >= 1 ? room : Number.POSITIVE_INFINITY
}

/**
 * A call in which the provider uses tools by itself: each use costs, adds what it found to the input, and lets the model
 * read everything again, a context window at most. Uses without a limit get as many as half of the money pays for.
 */
function boundTools(price: Price, size: CallSize, bytes: number, available: Nanodollars): Bound {
  const { count, uses } = size.demands.serverTools!
  const window = Math.max(bytes, windowOf(price))
  const boundFor = (each: number) =>
    boundWith(price, size, atMost(window * (1 + each * count)), available, atMost(each * count))
  if (uses !== null) return boundFor(uses)
  let each = UNSTATED_TOOL_USES
  while (each > 1 && boundFor(each).maxCost > available / 2) each -= 1
  return { ...boundFor(each), toolUses: each }
}

const usesOf = (price: Price, { demands }: CallSize, toolUses: number): MaxUses => ({
  audioInput: demands.audioInput,
  audioOutput: demands.audioOutput,
  searches: demands.searches + toolUses + (price.citation ? MAX_OWN_SEARCHES : 0),
  besideTokens: price.citation || price.reasoning ? windowOf(price) : 0,
  terms: demands.terms,
})

/** What a client makes up may be more than a number can count; it is more than any budget all the same. */
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

/** Models whose tokenizer we have; for others a count would be a guess. */
const COUNTED = /^(ft:)?(gpt-|chatgpt-|o\d|codex-|text-embedding)/
