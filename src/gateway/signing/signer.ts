/** Authorizes requests to providers that take no key as it is: a signature or a token is made of secrets of ours. */
import type { Clock } from '../../core/clock.ts'
import type { Network } from '../../core/http-pools.ts'

export interface SignedRequest {
  method: string
  /** Below the base URL, with query. */
  path: string
  body: string | Buffer | undefined
}

export interface Signer {
  /**
   * Returns the headers that authorize one request. `key`: the provider's key. `secretOf`: other secrets, by name.
   * Rejects with CageError `provider_key_missing` or `provider_unreachable`.
   */
  authorize(
    request: SignedRequest,
    key: string,
    secretOf: (name: string) => string | undefined,
  ): Promise<Record<string, string>>
}

/** Where signed requests go, and what signers need. */
export interface SignedProvider {
  name: string
  baseUrl: URL
  clock: Clock
  network: Network
}
