/** Replies of providers as JSON. */

import { CageError } from '../../core/errors.ts'
import { isObject, isTooDeep, type JsonObject, parseReplyJson } from '../../dialects/json.ts'

/** Throws CageError `provider_reply_invalid` if the text is not a JSON object. */
export function parseReply(text: string, provider: string): JsonObject {
  let reply: unknown
  try {
    reply = parseReplyJson(text)
  } catch (error) {
    throw replyInvalid(provider, 'is not JSON', error)
  }
  return requireReply(reply, provider)
}

/** Throws CageError `provider_reply_invalid` if `reply` is not an object or is nested too deeply. */
export function requireReply(reply: unknown, provider: string): JsonObject {
  if (isTooDeep(reply)) throw replyInvalid(provider, 'is nested too deeply')
  if (isObject(reply)) return reply
  throw replyInvalid(provider, 'is not a JSON object')
}

export const replyInvalid = (provider: string, what: string, cause?: unknown): CageError =>
  new CageError('provider_reply_invalid', `the reply of ${provider} ${what}`, { cause })
