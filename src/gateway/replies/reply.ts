/** Reads whole replies and their headers. */
import type { IncomingHttpHeaders } from 'node:http'
import { CageError } from '../../core/errors.ts'
import type { Dialect, Redactions } from '../../dialects/dialect.ts'
import type { ClientConnection } from '../provider/client.ts'
import { type Answer, asUpstreamError } from '../provider/upstream.ts'

/** Maximum size of a model's reply. */
const MAX_REPLY_BYTES = 64 * 1024 * 1024

/**
 * Returns a whole reply, when there is room for it. Throws CageError `reply_too_large`, `provider_*` when the connection breaks, and what `HeldBytes.waitFor` throws.
 */
export async function readAll(
  { body, headers }: Pick<Answer, 'body' | 'headers'>,
  provider: string,
  { held, signal }: Pick<ClientConnection, 'held' | 'signal'>,
): Promise<Buffer> {
  const size = Math.min(Number(headers['content-length'] ?? MAX_REPLY_BYTES), MAX_REPLY_BYTES)
  try {
    return await body.whole(
      MAX_REPLY_BYTES,
      () => replyTooLarge(provider),
      () => held.waitFor(size, signal),
    )
  } catch (error) {
    body.cancel()
    throw asUpstreamError(error, provider)
  }
}

/** Returns the body of an error; an empty one when it is too large or breaks off. */
export const readError = ({ body }: Pick<Answer, 'body'>): Promise<Buffer> =>
  body
    .whole(MAX_ERROR_BYTES, () => new Error('the error is too large'))
    .catch(() => {
      body.cancel()
      return Buffer.alloc(0)
    })

/** Maximum size of a provider's error. */
const MAX_ERROR_BYTES = 1024 * 1024

const replyTooLarge = (provider: string): CageError =>
  new CageError('reply_too_large', `the reply of ${provider} is larger than ${MAX_REPLY_BYTES} bytes`, {
    facts: { provider, limit_bytes: MAX_REPLY_BYTES },
  })

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
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && (FORWARDED.test(name) || replyHeaders.test(name)))
      passed[name] = redactor.whole(String(value), 'reply')
  }
  return passed
}
