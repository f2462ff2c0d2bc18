/** OpenAI's legacy completions: a prompt in, text out. */

import { type Format, TEXT_ONLY } from '../dialect.ts'
import { isObject, type Json, positiveInteger, requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { tierTerms } from '../usage.ts'
import { askedUsage, ChatStream } from './chat-completions.ts'
import { readOpenAiUsage } from './usage.ts'

/** The API's default limit of output tokens. */
const DEFAULT_MAX_TOKENS = 16

const FIELDS = fieldsOf('prompt', 'suffix', 'max_tokens', 'n', 'best_of')

export const completions: Format = {
  name: 'completions',

  readCall(body) {
    // A list of numbers is one tokenized prompt; any other list is a list of prompts, each answered separately.
    const isList = Array.isArray(body.prompt) && !body.prompt.every((prompt) => typeof prompt === 'number')
    const prompts = isList ? Math.max(1, (body.prompt as Json[]).length) : 1
    return {
      model: requireModel(body),
      stream: body.stream === true,
      maxOutputTokens: positiveInteger(body, 'max_tokens') ?? DEFAULT_MAX_TOKENS,
      // best_of answers are generated and charged, to choose n of them.
      answers: Math.max(positiveInteger(body, 'n') ?? 1, positiveInteger(body, 'best_of') ?? 1) * prompts,
      wantsUsage: isObject(body.stream_options) && body.stream_options.include_usage === true,
      demands: { ...TEXT_ONLY, terms: tierTerms(body.service_tier), unknownFields: readFields(body, FIELDS) },
    }
  },

  prepare: (body, limits) => ({
    ...body,
    // Written even if it equals OpenAI's default: other servers have no such default.
    max_tokens: Math.min(
      positiveInteger(body, 'max_tokens') ?? DEFAULT_MAX_TOKENS,
      limits.clampTo ?? Number.POSITIVE_INFINITY,
    ),
    ...askedUsage(body, limits),
  }),

  textOf: (body) => JSON.stringify([body.prompt, body.suffix]),

  usageOf: (reply) => readOpenAiUsage(reply.usage, reply.service_tier),

  readStream: (redact, wantsUsage) => new ChatStream(redact, wantsUsage),
}
