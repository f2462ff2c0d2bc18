/**
 * The maximum output tokens of each model, from a public list (`output-limits.json`, made by
 * `scripts/output-limits.mjs`): no limit that is written into a request is above it.
 */

/** Vendors as routers write them before a model's name, and as the list names them. */
const VENDORS: Readonly<Record<string, string>> = { mistralai: 'mistral', 'meta-llama': 'groq', xai: 'x-ai' }

/** Looks up `names` in order; undefined if the list has none of them. */
export async function outputLimit(provider: string, names: readonly string[]): Promise<number | undefined> {
  const { default: list } = await import('./output-limits.json', { with: { type: 'json' } })
  const limits: Readonly<Record<string, Readonly<Record<string, number>>>> = list.models
  const find = (vendor: string, name: string): number | undefined =>
    Object.hasOwn(limits, vendor) && Object.hasOwn(limits[vendor]!, name) ? limits[vendor]![name] : undefined
  for (const name of names.flatMap(spellings)) {
    const [vendor, ...rest] = name.split('/')
    const found = find(provider, name) ?? find(VENDORS[vendor!] ?? vendor!, rest.join('/'))
    if (found !== undefined) return found
  }
  return undefined
}

/** Returns a name and the model that it was fine-tuned from, each also without what follows a colon. */
function spellings(name: string): string[] {
  const base = /^ft:([^:]+)/.exec(name)?.[1]
  return [name, ...(base ? [base] : []), name.replace(/:[^:]*$/, '')]
}

export interface NamedLimit {
  tokens: number
  /** It applies to every call of the model, not only to this one with its long request. */
  isOfModel: boolean
}

/**
 * Returns the maximum tokens that a provider's refusal names, when less than was `written`; undefined when it names
 * none. Each vendor has its own sentence.
 */
export function namedLimit(refusal: string, written: number): NamedLimit | undefined {
  for (const sentence of SENTENCES) {
    const match = sentence.exec(refusal)
    if (!match) continue
    const { limit, less } = match.groups!
    const tokens = Number(limit) - Number(less ?? 0)
    if (Number.isSafeInteger(tokens) && tokens >= 1 && tokens < written)
      return { tokens, isOfModel: less === undefined }
  }
  return undefined
}

const SENTENCES: readonly RegExp[] = [
  // OpenAI: "This model supports at most 4096 completion tokens"
  /supports at most (?<limit>\d+) (completion|output) tokens/,
  // Anthropic: "max_tokens: 16384 > 4096, which is the maximum allowed number of output tokens"
  /max_tokens: \d+ > (?<limit>\d+), which is the maximum/,
  // Groq: "`max_tokens` must be less than or equal to `8192`"
  /tokens`? must be less than or equal to `?(?<limit>\d+)/,
  // DeepSeek: "the valid range of max_tokens is [1, 8192]"
  /range of max_tokens is \[\d+, (?<limit>\d+)\]/,
  // "This model's maximum context length is 8192 tokens. However, you requested 20000 tokens (3616 in the messages, …"
  /maximum context length is (?<limit>\d+) tokens[^(]*\((?<less>\d+) (in|from) (the|your) (messages|prompt|input)/,
  // vLLM: "maximum context length is 8192 tokens and your request has 3616 input tokens"
  /maximum context length is (?<limit>\d+) tokens and your request has (?<less>\d+) input tokens/,
]
