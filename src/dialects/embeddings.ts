/** Embeddings of every vendor: texts in, vectors out; only the input is charged. */
import { type Demands, type Format, type StreamReader, TEXT_ONLY } from './dialect.ts'
import { type JsonObject, requireModel } from './json.ts'

interface Embeddings extends Pick<Format, 'name' | 'usageOf' | 'textOf'>, Partial<Pick<Format, 'prepare'>> {
  /** Throws CageError `bad_request` or `price_unknown`. */
  demandsOf(body: JsonObject, model: string): Partial<Demands>
}

/** Makes the format of a route that embeds. `prepare`: by default the body is sent as it is. */
export const embeddingsFormat = ({ demandsOf, ...format }: Embeddings): Format => ({
  prepare: (body) => body,
  ...format,

  readCall(body) {
    const model = requireModel(body)
    const demands = { ...TEXT_ONLY, ...demandsOf(body, model) }
    return { model, stream: false, maxOutputTokens: 1, answers: 1, wantsUsage: true, demands }
  },

  readStream(): StreamReader {
    throw new Error('embeddings are never streamed')
  },
})
