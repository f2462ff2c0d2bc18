/** The list of dialects. To add one, add a folder and a line here. */
import { anthropic } from './anthropic/dialect.ts'
import { azure } from './azure/dialect.ts'
import { bedrock } from './bedrock/dialect.ts'
import { cohere } from './cohere/dialect.ts'
import { google } from './google/dialect.ts'
import { ollama } from './ollama/dialect.ts'
import { openai } from './openai/dialect.ts'
import { vertex } from './vertex/dialect.ts'

/** The default comes first. */
export const DIALECTS = { openai, anthropic, google, azure, bedrock, vertex, cohere, ollama }

export type DialectName = keyof typeof DIALECTS

export const DIALECT_NAMES = Object.keys(DIALECTS) as DialectName[]

/** The dialect of most other servers, and of errors without a provider. */
export const DEFAULT_DIALECT: DialectName = 'openai'
