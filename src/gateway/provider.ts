import type { ProviderConfig } from '../config/schema.ts'
import type { Dialect } from '../dialects/dialect.ts'

/** Who answers calls: an address, and how it is spoken to there. */
export interface Provider {
  name: string
  dialect: Dialect
  baseUrl: URL
  settings: ProviderConfig
}
