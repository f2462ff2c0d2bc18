/** Cohere's rerank: charged by searches, each of up to a hundred pieces of documents. */
import { type Format, type StreamReader, TEXT_ONLY } from '../dialect.ts'
import { requireModel } from '../json.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { readCohereUsage } from './usage.ts'

const FIELDS = fieldsOf('query', 'documents', 'top_n', 'max_tokens_per_doc')

const PIECES_PER_SEARCH = 100
/** Longer documents are cut: a token has at least one byte. */
const MIN_PIECE_BYTES = 500

export const rerank: Format = {
  name: 'rerank',

  readCall(body) {
    const documents = [body.documents ?? []].flat()
    const pieces = documents.length + Buffer.byteLength(JSON.stringify(documents)) / MIN_PIECE_BYTES
    return {
      model: requireModel(body),
      stream: false,
      maxOutputTokens: 1,
      answers: 1,
      wantsUsage: true,
      demands: {
        ...TEXT_ONLY,
        searches: Math.max(1, Math.ceil(pieces / PIECES_PER_SEARCH)),
        unknownFields: readFields(body, FIELDS),
      },
    }
  },

  prepare: (body) => body,

  usageOf: ({ meta }) => readCohereUsage(meta),

  readStream(): StreamReader {
    throw new Error('rankings are never streamed')
  },
}
