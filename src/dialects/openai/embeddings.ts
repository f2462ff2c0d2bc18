/** OpenAI's embeddings. */
import { embeddingsFormat } from '../embeddings.ts'
import { isObject } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { readOpenAiUsage } from './usage.ts'

const FIELDS = fieldsOf('input', 'dimensions', 'encoding_format', 'input_type', 'truncate', 'task')

export const embeddings = embeddingsFormat({
  name: 'embeddings',

  demandsOf: (body) => ({
    // An image or a document by URL.
    isInputUnseen: Array.isArray(body.input) && body.input.some(isObject),
    unknownFields: readFields(body, FIELDS),
  }),

  textOf: (body) => JSON.stringify(body.input),

  // As in chat completions, without output.
  usageOf: ({ usage }) =>
    isObject(usage) ? readOpenAiUsage({ completion_tokens: 0, ...usage }, undefined) : undefined,
})
