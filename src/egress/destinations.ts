/** What this server has at a destination: a provider, a service, or nothing. */

import { type Authority, authorityOf } from '../config/authority.ts'
import type { Config } from '../config/schema.ts'
import { KNOWN_PROVIDER_NAMES, knownProvider } from '../dialects/known-providers.ts'

/** A provider or service whose requests pass the gateway. */
export interface Destination {
  kind: 'provider' | 'service'
  name: string
  /** The address of the gateway's route, e.g. "services/linkedin_api". */
  route: string
  /** The path on the host below which it is, without a final slash. */
  basePath: string
  isEncrypted: boolean
}

export class Destinations {
  readonly #byHost = new Map<string, Destination[]>()

  constructor({ services, providers }: Pick<Config, 'services' | 'providers'>, providerUrls: Record<string, string>) {
    for (const [name, { base_url, hosts, intercept }] of Object.entries(services)) {
      if (!intercept) continue
      const service = { kind: 'service', name, route: `services/${name}` } as const
      this.#addUrl(service, base_url)
      for (const host of hosts) {
        this.#add({ host: host.toLowerCase(), port: 443 }, { ...service, basePath: '', isEncrypted: true })
        this.#add({ host: host.toLowerCase(), port: 80 }, { ...service, basePath: '', isEncrypted: false })
      }
    }
    const unused = KNOWN_PROVIDER_NAMES.filter((name) => !Object.hasOwn(providers, name))
    const known = unused.flatMap((name) => {
      const url = knownProvider(name)?.baseUrl
      // Where such a server would run on this machine, another program may.
      return url?.startsWith('https:') ? [[name, url] as const] : []
    })
    for (const [name, url] of [...Object.entries(providerUrls), ...known]) {
      this.#addUrl({ kind: 'provider', name, route: name }, url)
    }
  }

  /** All that share the host, the longest path first. */
  at({ host, port }: Authority): readonly Destination[] {
    return this.#byHost.get(`${host} ${port}`) ?? []
  }

  #addUrl(destination: Pick<Destination, 'kind' | 'name' | 'route'>, address: string): void {
    const url = new URL(address)
    const basePath = url.pathname.replace(/\/+$/, '')
    this.#add(authorityOf(url), { ...destination, basePath, isEncrypted: url.protocol === 'https:' })
  }

  #add({ host, port }: Authority, destination: Destination): void {
    const key = `${host} ${port}`
    const all = [...(this.#byHost.get(key) ?? []), destination]
    this.#byHost.set(
      key,
      all.sort((one, other) => other.basePath.length - one.basePath.length),
    )
  }
}

/** Returns the destination that has a path, and the path below it; undefined where none has. */
export function routeIn(all: readonly Destination[], path: string): { to: Destination; below: string } | undefined {
  const to = all.find(({ basePath }) => path.startsWith(`${basePath}/`) || path === basePath)
  return to && { to, below: path.slice(to.basePath.length) || '/' }
}
