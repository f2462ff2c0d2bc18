/**
 * What a call can cost at most, before it is sent, and what it did cost when the provider did not say.
 *
 * A byte-level tokenizer never makes more tokens than there are bytes, so the length of the request in bytes bounds its
 * input without looking at it. The exact tokenizer is loaded and asked only when that bound does not fit the money left.
 */
import type { Nanodollars } from '../money.ts'
import { mostOf, outputTokensFor, type Price } from './prices.ts'

/** What the bound needs to know of a call. */
export interface CallSize {
  /** UTF-8 bytes of the request as it is sent. */
  bytes: number
  /** Most tokens of one answer as the client wants it; null when it did not say. */
  maxOutputTokens: number | null
  /** How many answers are asked for. */
  answers: number
  /** The text to count when it matters; null where no exact tokenizer is known for the model. */
  text: (() => string) | null
  /** The provider reads more than the request holds: only the model's context window bounds it. */
  isInputUnseen: boolean
  model: string
}

export interface Bound {
  most: Nanodollars
  /** Written into the request when the client did not say how much it wants, or more than any model gives. */
  clampTo: number | null
}

/** No model of today answers with more in one go. */
const MOST_OUTPUT_TOKENS = 131_072
/** The largest context window of today. */
const UNKNOWN_WINDOW_TOKENS = 2_000_000
/** What a call that did not say how much it wants is taken to want at most. */
const UNSTATED_OUTPUT_TOKENS = 16_384
/** Message framing that is in no text: role marks, tool schemas' wrapping. */
const FRAMING_TOKENS = 64
/** Longer texts are estimated from their length: the tokenizer would hold up the event loop. */
const COUNT_AT_MOST_BYTES = 262_144

/**
 * Bounds a call. With `clamp`, a call that did not say how much it wants may take half of what is left at
 * most, so that one such call never holds the whole budget.
 */
export async function boundCall(price: Price, size: CallSize, available: Nanodollars, clamp: boolean): Promise<Bound> {
  const bound = (inputTokens: number) =>
    boundWith(price, size, inputTokens, clamp ? available : Number.POSITIVE_INFINITY)
  if (size.isInputUnseen) return bound(Math.max(size.bytes, price.contextWindow ?? UNKNOWN_WINDOW_TOKENS))
  const byBytes = bound(size.bytes)
  if (byBytes.most <= available || !size.text || size.bytes > COUNT_AT_MOST_BYTES) return byBytes
  const counted = (await countTokens(size.text(), size.model)) + FRAMING_TOKENS
  return bound(Math.min(size.bytes, counted))
}

function boundWith(price: Price, size: CallSize, inputTokens: number, available: Nanodollars): Bound {
  const longest = Math.min(MOST_OUTPUT_TOKENS, price.contextWindow ?? MOST_OUTPUT_TOKENS)
  const { maxOutputTokens, answers } = size
  if (maxOutputTokens !== null) {
    const output = Math.min(maxOutputTokens, longest)
    return { most: mostOf(price, inputTokens, output * answers), clampTo: output < maxOutputTokens ? output : null }
  }
  const wanted = Math.min(UNSTATED_OUTPUT_TOKENS, longest)
  const affordable = Math.floor(outputTokensFor(price, inputTokens, Math.floor(available / 2)) / answers)
  const output = Math.max(1, Math.min(wanted, affordable))
  // Written into the request wherever the model could answer with more than is held.
  return { most: mostOf(price, inputTokens, output * answers), clampTo: output < longest ? output : null }
}

/** Tokens of a text; exact for OpenAI's models, near for others. Loads the tokenizer at first use (~0.15 s). */
export async function countTokens(text: string, model: string): Promise<number> {
  if (text.length > COUNT_AT_MOST_BYTES) return Math.ceil(Buffer.byteLength(text) / 4)
  const tokenizer = OLD_VOCABULARY.test(model)
    ? await import('gpt-tokenizer/encoding/cl100k_base')
    : await import('gpt-tokenizer/encoding/o200k_base')
  let tokens = 0
  for (const piece of text.split(LONG_RUN)) tokens += tokenizer.countTokens(piece, PLAIN_TEXT)
  return tokens
}

/**
 * A run without a boundary, which is cut: the tokenizer's time grows with the square of its length, and 32,000 equal
 * letters took 1.3 s. A cut adds a token at most.
 */
const LONG_RUN = /([\p{L}\p{M}]{64}|\s{64}|[^\s\p{L}\p{N}]{64})/u
/** "<|endoftext|>" in a text is text; the tokenizer would throw. */
const PLAIN_TEXT = { disallowedSpecial: new Set<string>() }

/** Models before gpt-4o. */
const OLD_VOCABULARY = /^(gpt-3\.5|gpt-4(?![o.])|text-embedding)/
