/** Errors that providers send within a stream: the status that each would have as an answer. */
import { isObject, type Json } from './json.ts'

/** Returns the status of an error as a provider writes it: an object with a code, a type or a status, or a text. */
export function statusOfError(error: Json | undefined): number {
  if (!isObject(error)) return UNKNOWN
  const { code, status, status_code, type, metadata } = error
  const number = [code, status, status_code].map(Number).find((one) => Number.isInteger(one) && one >= 400 && one < 600)
  if (number !== undefined) return number
  const names = [code, status, type, isObject(metadata) ? metadata.error_type : undefined]
  const known = names.map((name) => (typeof name === 'string' ? statusOfName(name) : undefined))
  return known.find((one) => one !== undefined) ?? UNKNOWN
}

/** Returns the status of an error's name, in any spelling; undefined for an unknown one. */
export function statusOfName(name: string): number | undefined {
  const words = name.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toLowerCase()
  return STATUSES.find(([pattern]) => pattern.test(words))?.[1]
}

/** Every other error is the provider's own failure. */
const UNKNOWN = 500

/** By the names of OpenAI, Anthropic, Google, AWS, Cohere and OpenRouter. The first that matches counts. */
const STATUSES: readonly (readonly [name: RegExp, status: number])[] = [
  [/rate_limit|too_many_requests|resource_exhausted|throttl|quota/, 429],
  [/authentication|unauthenticated|unauthorized|api_key/, 401],
  [/billing|payment|credits/, 402],
  [/permission|forbidden|access_denied/, 403],
  [/not_found/, 404],
  [/too_large/, 413],
  [/overloaded/, 529],
  [/unavailable/, 503],
  [/timeout|timed_out|deadline/, 504],
  [/invalid|validation|bad_request|context_(length|window)|failed_precondition|out_of_range|unsupported/, 400],
  [/content_(policy|filter)|moderation|safety/, 400],
]
