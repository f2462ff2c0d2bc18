/** Detects connections of an agent to a provider, which bypass budget and redaction. */
import { lookup } from 'node:dns/promises'
import type { Clock } from '../core/clock.ts'

const REMEMBERED_MS = 60_000
const MAX_LOOKUP_MS = 2_000

export class ProviderAddresses {
  readonly #urls: Readonly<Record<string, string>>
  readonly #clock: Clock
  #known: Promise<ReadonlyMap<string, string>> | undefined
  #until = 0

  /** `urls`: by the provider's name. */
  constructor(urls: Readonly<Record<string, string>>, clock: Clock) {
    this.#urls = urls
    this.#clock = clock
  }

  /** Returns the provider at `target`, "address:port" or "name:port"; undefined for any other place. */
  async providerAt(target: string): Promise<string | undefined> {
    if (this.#known === undefined || this.#clock.monotonic() > this.#until) {
      this.#known = this.#resolve()
      this.#until = this.#clock.monotonic() + REMEMBERED_MS
    }
    return (await this.#known).get(target)
  }

  async #resolve(): Promise<ReadonlyMap<string, string>> {
    const found = new Map<string, string>()
    const resolveOne = async ([name, url]: [string, string]) => {
      const { hostname, port, protocol } = new URL(url)
      const at = port || (protocol === 'https:' ? '443' : '80')
      found.set(`${hostname}:${at}`, name)
      const bare = hostname.replace(/^\[|\]$/g, '')
      // Offline, slow, or not a name: nothing can have connected to it.
      const late = new Promise<[]>((resolve) => this.#clock.after(MAX_LOOKUP_MS, () => resolve([])).unref())
      const addresses = await Promise.race([lookup(bare, { all: true }), late]).catch(() => [])
      for (const { address, family } of addresses) {
        found.set(family === 6 ? `[${address}]:${at}` : `${address}:${at}`, name)
      }
    }
    await Promise.all(Object.entries(this.#urls).map(resolveOne))
    return found
  }
}
