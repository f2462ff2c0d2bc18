/** OpenAI's embeddings: text in, vectors out; only the input costs. */

import type { Format, StreamReader } from '../dialect.ts'
import { TEXT_ONLY } from '../dialect.ts'
import { isObject, requireModel } from '../json.ts'
import { readChatUsage } from './chat-completions.ts'

export const embeddings: Format = {
  readCall: (body) => ({
    model: requireModel(body),
    stream: false,
    maxOutputTokens: 1,
    answers: 1,
    wantsUsage: true,
    demands: TEXT_ONLY,
  }),

  prepare: (body) => body,

  textOf: (body) => () => JSON.stringify(body.input),

  // As in a chat, without an answer.
  usageOf: ({ usage }) => (isObject(usage) ? readChatUsage({ completion_tokens: 0, ...usage }, undefined) : undefined),

  readStream(): StreamReader {
    throw new Error('embeddings are never streamed')
  },
}
