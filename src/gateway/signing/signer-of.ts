/**
 * The list of signers, by the needs of a dialect's servers. Each is loaded, with its library, when it is used first.
 */
import type { Dialect } from '../../dialects/dialect.ts'
import type { SignedProvider, Signer } from './signer.ts'

/** Returns undefined for a dialect whose servers take a key as it is. */
export function signerOf({ signs }: Dialect, provider: SignedProvider): Signer | undefined {
  if (signs === undefined) return undefined
  let loaded: Promise<Signer> | undefined
  return {
    async authorize(...request) {
      loaded ??= LOADERS[signs](provider)
      return (await loaded).authorize(...request)
    },
  }
}

const LOADERS: Readonly<Record<NonNullable<Dialect['signs']>, (provider: SignedProvider) => Promise<Signer>>> = {
  aws: async (provider) => (await import('./sigv4.ts')).sigv4Signer(provider),
  google: async (provider) => (await import('./google-token.ts')).googleTokenSigner(provider),
}
