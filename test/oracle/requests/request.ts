/** One request to a provider, as an agent might write it. */
import type { Json, JsonObject } from '../../../src/dialects/json.ts'

export type DialectName = 'chat' | 'responses' | 'anthropic' | 'google' | 'converse' | 'cohere'

export interface AgentRequest {
  dialect: DialectName
  body: JsonObject
}

export const isRecord = (value: Json | undefined): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export const listOf = (value: Json | undefined): Json[] => (Array.isArray(value) ? value : [])
