/** OpenAI's embeddings: text in, vectors out; only the input is charged. */

import type { Format, StreamReader } from '../dialect.ts'
import { TEXT_ONLY } from '../dialect.ts'
import { isObject, requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { readChatUsage } from './chat-completions.ts'

const FIELDS = fieldsOf('input', 'dimensions', 'encoding_format', 'input_type', 'truncate', 'task')

export const embeddings: Format = {
  name: 'embeddings',

  readCall: (body) => ({
    model: requireModel(body),
    stream: false,
    maxOutputTokens: 1,
    answers: 1,
    wantsUsage: true,
    demands: {
      ...TEXT_ONLY,
      // An image or a document by URL.
      isInputUnseen: Array.isArray(body.input) && body.input.some(isObject),
      unknownFields: readFields(body, FIELDS),
    },
  }),

  prepare: (body) => body,

  textOf: (body) => JSON.stringify(body.input),

  // As in chat completions, without output.
  usageOf: ({ usage }) => (isObject(usage) ? readChatUsage({ completion_tokens: 0, ...usage }, undefined) : undefined),

  readStream(): StreamReader {
    throw new Error('embeddings are never streamed')
  },
}
