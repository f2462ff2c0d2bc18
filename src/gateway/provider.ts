import type { ProviderConfig } from '../config/schema.ts'
import type { Dialect } from '../dialects/dialect.ts'

/** Who answers calls: an address, and how it is spoken to there. */
export interface Provider {
  name: string
  dialect: Dialect
  baseUrl: URL
  settings: ProviderConfig
  /** The vendor's own server, whose answers are known to stay within their limits. */
  isOfficial: boolean
  /** Models that refuse a limit in two fields, each with the field that it takes. */
  readonly onlyLimits: Map<string, string>
}

/** One that has the vendor's name stands before the vendor's own server, whatever its address. */
export const isVendors = ({ name, dialect, isOfficial }: Provider): boolean => isOfficial || name === dialect.name
