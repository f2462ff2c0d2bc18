import type { ProviderConfig } from '../../config/schema.ts'
import type { Dialect } from '../../dialects/dialect.ts'
import { vendorOf } from '../../dialects/known-providers.ts'
import type { Signer } from '../signing/signer.ts'

/** An LLM provider: its base URL and dialect. */
export interface Provider {
  name: string
  dialect: Dialect
  baseUrl: URL
  settings: ProviderConfig
  /** The vendor's own server, which is known to keep its answers within their limits. */
  isOfficial: boolean
  /** Models that refuse a limit in two fields, each with the field that it accepts. */
  readonly onlyLimits: Map<string, string>
  /** Models that refuse to be asked for the usage of a stream. */
  readonly withoutUsage: Set<string>
  /** Authorizes its requests; undefined if they carry a key. */
  readonly signer: Signer | undefined
}

/** A server under the vendor's name is treated as a proxy of the vendor's own, unless its URL is another vendor's. */
export const isVendors = ({ name, dialect, baseUrl, isOfficial }: Provider): boolean =>
  isOfficial || (name === dialect.name && vendorOf(name, baseUrl.href) === name)
