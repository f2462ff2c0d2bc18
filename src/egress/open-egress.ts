/** Opens the way out of agents. Its certificate authority is made with the first agent that needs it. */
import { lookup } from 'node:dns/promises'
import type { RunTokens } from '../access/run-tokens.ts'
import { sharedWildcards } from '../config/host-list.ts'
import type { Config } from '../config/schema.ts'
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { Network } from '../core/http-pools.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { CertificateAuthority } from './certificates.ts'
import { Destinations } from './destinations.ts'
import { type Answer, EgressProxy, type ProxyDeps, type Upgrade } from './proxy.ts'
import { Seen } from './seen.ts'
import { openTrust, type Trust } from './trust.ts'

export interface EgressOptions {
  config: Pick<Config, 'services' | 'providers'>
  /** The providers' addresses, by name. */
  providerUrls: Record<string, string>
  network: Network
  /** The environment that iron-cage was started in. */
  environment: Readonly<Record<string, string>>
  state: StateManager
  clock: Clock
  runTokens: RunTokens
  ownPort: () => number
  maxHeaderSize: number
  onFault: (error: unknown, what: string) => void
}

const resolve = async (name: string): Promise<string[]> =>
  (await lookup(name, { all: true })).map(({ address }) => address)

/** Throws CageError `invalid_config` for a wildcard below a public suffix. */
export async function requireOwnedWildcards({ allow = [] }: { allow?: readonly string[] | undefined }): Promise<void> {
  for (const { entry, isPublic } of await sharedWildcards(allow)) {
    if (!isPublic) continue
    throw new CageError('invalid_config', `agent.egress.allow: ${entry} is everything below a public suffix`, {
      facts: { key: 'agent.egress.allow', value: entry },
      hint: 'name the domain: *.example.com',
    })
  }
}

export class Egress {
  readonly #options: EgressOptions
  readonly #seen: Seen
  #authority: Promise<CertificateAuthority> | undefined
  #trust: Promise<Trust> | undefined

  constructor(options: EgressOptions) {
    this.#options = options
    this.#seen = new Seen(options.state, options.clock)
  }

  /** The certificate authority of this server. */
  authority(): Promise<CertificateAuthority> {
    this.#authority ??= import('./certificates.ts').then(
      ({ CertificateAuthority }) => new CertificateAuthority(this.#options.clock),
    )
    return this.#authority
  }

  /** The variables by which an agent's programs trust this server. */
  async trustVariables(): Promise<Trust['variables']> {
    const { environment, network } = this.#options
    this.#trust ??= this.authority().then((authority) => openTrust(authority, environment, network.ca ?? []))
    return (await this.#trust).variables
  }

  /** Must be closed. `answer`, `upgrade`: answer requests to /gateway/…. `onRefused`, `onUnidentified`: see `ProxyDeps`. */
  proxy(
    answer: Answer,
    upgrade: Upgrade,
    { onRefused, onUnidentified }: Pick<ProxyDeps, 'onRefused' | 'onUnidentified'>,
  ): EgressProxy {
    const { config, providerUrls } = this.#options
    const destinations = new Destinations(config, providerUrls)
    const deps = {
      ...this.#options,
      destinations,
      resolve,
      authority: () => this.authority(),
      seen: this.#seen,
      onRefused,
      onUnidentified,
    }
    return new EgressProxy(deps, answer, upgrade)
  }

  async close(): Promise<void> {
    this.#seen.close()
    await (await this.#trust)?.close()
  }
}
