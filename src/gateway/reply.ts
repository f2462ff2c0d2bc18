/** Reads whole replies and their headers. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Dialect, Redactions } from '../dialects/dialect.ts'
import { CageError } from '../errors.ts'
import type { AnswerBody } from './answer-body.ts'
import { asUpstreamError } from './upstream.ts'

/** Maximum size of a model's reply. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024

/** Throws CageError `provider_reply_invalid` for a reply that is too large, `provider_*` when the connection breaks. */
export async function readAll(body: AnswerBody, provider: string): Promise<Buffer> {
  try {
    return await body.whole(MAX_REPLY_BYTES, () => replyTooLarge(provider))
  } catch (error) {
    body.cancel()
    throw asUpstreamError(error, provider)
  }
}

const replyTooLarge = (provider: string): CageError =>
  new CageError('provider_reply_invalid', `the reply of ${provider} is larger than ${MAX_REPLY_BYTES} bytes`)

export const isStream = (headers: IncomingHttpHeaders): boolean =>
  /^text\/event-stream\b/i.test(headers['content-type'] ?? '')

const FORWARDED = /^(content-type|x-request-id|request-id|retry-after|retry-after-ms|x-should-retry|x-ratelimit-.+)$/

/**
 * Returns the provider's headers that clients read, redacted. Lengths and encodings are those of what we send, so they
 * are not forwarded.
 */
export function passedHeaders(
  headers: IncomingHttpHeaders,
  { replyHeaders }: Dialect,
  redactor: Pick<Redactions, 'whole'>,
): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && (FORWARDED.test(name) || replyHeaders.test(name)))
      passed[name] = redactor.whole(String(value), 'reply')
  }
  return passed
}
