/** Google's embeddings: of one content, or of several requests. */
import { CageError } from '../../core/errors.ts'
import type { Format } from '../dialect.ts'
import { embeddingsFormat } from '../embeddings.ts'
import { isObject, type Json, type JsonObject } from '../json.ts'
import { readFields } from '../request-fields.ts'
import { bothSpellings, fieldOf } from './spelling.ts'
import { readGoogleUsage } from './usage.ts'

const embed = (name: string, requestsOf: (body: JsonObject) => Json[]): Format =>
  embeddingsFormat({
    name,

    demandsOf(body, model) {
      const requests = requestsOf(body).filter(isObject)
      for (const request of requests) requireSame(model, request.model)
      return {
        // Images, recordings and files are read as more than their text.
        isInputUnseen: !requests.every(hasOnlyText),
        unknownFields: [body, ...requests].flatMap((fields) => readFields(fields, FIELDS)),
      }
    },

    // The path names the model.
    prepare: (body) => ({ ...body, model: undefined }),

    usageOf: ({ usageMetadata }) => readGoogleUsage(usageMetadata, false),
  })

export const embedContent = embed('embed-content', (body) => [{ ...body, model: undefined }])
export const batchEmbedContents = embed('batch-embed-contents', ({ requests }) => [requests ?? []].flat())

const FIELDS: ReadonlySet<string> = new Set(
  bothSpellings(['model', 'requests', 'content', 'taskType', 'title', 'outputDimensionality', 'embedContentConfig']),
)

/** Each request names the model again. Throws CageError `bad_request` for another one. */
function requireSame(model: string, named: Json | undefined): void {
  if (named === undefined || named === model || named === `models/${model}`) return
  throw new CageError('bad_request', `a request for ${model} names another model, ${JSON.stringify(named)}`, {
    facts: { field: 'model' },
  })
}

function hasOnlyText(request: JsonObject): boolean {
  const { content } = request
  const parts = isObject(content) ? content.parts : content
  return [parts ?? []]
    .flat()
    .every((part) => !isObject(part) || ['inlineData', 'fileData'].every((name) => fieldOf(part, name) === undefined))
}
