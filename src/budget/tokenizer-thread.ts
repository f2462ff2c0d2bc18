/** The tokenizer's thread: counts the tokens of one text at a time. */
import { parentPort } from 'node:worker_threads'

export interface Question {
  id: number
  text: string
  model: string
}

/** `tokens` undefined: `error` has the reason. */
export interface Count {
  id: number
  tokens?: number
  error?: string
}

parentPort!.on('message', ({ id, text, model }: Question) => {
  const reply = (count: Omit<Count, 'id'>) => parentPort!.postMessage({ id, ...count } satisfies Count)
  tokensOf(text, model).then(
    (tokens) => reply({ tokens }),
    (error: Error) => reply({ error: error.message }),
  )
})

async function tokensOf(text: string, model: string): Promise<number> {
  const tokenizer = OLD_VOCABULARY.test(model)
    ? await import('gpt-tokenizer/encoding/cl100k_base')
    : await import('gpt-tokenizer/encoding/o200k_base')
  let tokens = 0
  for (const piece of text.split(LONG_RUN)) tokens += tokenizer.countTokens(piece, PLAIN_TEXT)
  return tokens
}

/**
 * Splits long runs without a word boundary: the tokenizer's time grows with the square of their length, and 32,000
 * equal letters took 1.3 s. Each split adds at most one token.
 */
const LONG_RUN = /([\p{L}\p{M}]{64}|\s{64}|[^\s\p{L}\p{N}]{64})/u
/** "<|endoftext|>" in a text is plain text; by default the tokenizer throws. */
const PLAIN_TEXT = { disallowedSpecial: new Set<string>() }

/** Models before gpt-4o. */
const OLD_VOCABULARY = /^(ft:)?(gpt-3\.5|gpt-4(?![o.])|text-embedding)/
