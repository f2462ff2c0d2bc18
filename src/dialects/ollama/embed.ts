/** Ollama's embeddings, and the older route for one text. */
import { embeddingsFormat } from '../embeddings.ts'
import { fieldsOf, readFields } from '../request-fields.ts'
import { readOllamaUsage } from './usage.ts'

const FIELDS = fieldsOf('input', 'prompt', 'truncate', 'dimensions')

const embedAs = (name: string) =>
  embeddingsFormat({
    name,
    demandsOf: (body) => ({ unknownFields: readFields(body, FIELDS) }),
    usageOf: (reply) => readOllamaUsage({ eval_count: 0, ...reply }),
  })

export const embed = embedAs('embed')
export const embedOne = embedAs('embeddings-of-one')
