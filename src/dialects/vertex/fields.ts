/** Fields of both APIs that Vertex AI has. */
import { fields as ofAnthropic } from '../anthropic/fields.ts'
import { fields as ofGoogle } from '../google/fields.ts'
import type { Fields } from '../texts.ts'

export const fields: Fields = {
  names: new Set([...ofGoogle.names, ...ofAnthropic.names]),
  opaque: { ...ofGoogle.opaque, ...ofAnthropic.opaque },
  tools: new Set([...ofGoogle.tools, ...ofAnthropic.tools]),
}
