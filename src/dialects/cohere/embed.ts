/** Cohere's embeddings. */
import { embeddingsFormat } from '../embeddings.ts'
import { isObject, type Json, type JsonObject } from '../json.ts'
import { fieldsOf, readFields, unpricedField } from '../request-fields.ts'
import { readCohereUsage } from './usage.ts'

const FIELDS = fieldsOf(
  ...['texts', 'inputs', 'input_type', 'embedding_types', 'output_dimension', 'truncate', 'max_tokens'],
)

export const embed = embeddingsFormat({
  name: 'embed',

  demandsOf(body) {
    requireTexts(body)
    return { unknownFields: readFields(body, FIELDS) }
  },

  usageOf: ({ meta }) => readCohereUsage(meta),
})

/** Throws CageError `price_unknown`: images have a separate price. */
function requireTexts({ images, inputs }: JsonObject): void {
  if (Array.isArray(images) && images.length > 0) throw unpricedField('images')
  const parts = [inputs ?? []].flat().flatMap((input) => (isObject(input) ? [input.content ?? []].flat() : []))
  if (!parts.every(isText)) throw unpricedField('inputs', 'send texts only')
}

const isText = (part: Json): boolean => !isObject(part) || part.type === 'text'
