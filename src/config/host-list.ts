/** Lists of destinations: "api.github.com", "*.wikipedia.org", "db.internal:5432", "[2001:db8::1]:443". */
import { isIP } from 'node:net'
import { type Authority, isName, parseAuthority, TLS_PORT } from './authority.ts'

interface Entry extends Authority {
  /** Any name below `host`, with one label or more in front of it. */
  isWildcard: boolean
}

/** Undefined for text that is no destination. */
export function parseEntry(text: string): Entry | undefined {
  const isWildcard = text.startsWith('*.')
  const named = isWildcard ? text.slice(2) : text
  const authority = parseAuthority(/:\d+$/.test(named) ? named : `${named}:${TLS_PORT}`)
  if (!authority || (isWildcard && !isName(authority.host))) return undefined
  return { ...authority, isWildcard }
}

export class HostList {
  readonly #exact = new Set<string>()
  readonly #wildcards: readonly Entry[]

  /** `texts`: entries that `parseEntry` reads. */
  constructor(texts: readonly string[]) {
    const entries = texts.flatMap((text) => parseEntry(text) ?? [])
    this.#wildcards = entries.filter(({ isWildcard }) => isWildcard)
    for (const { host, port, isWildcard } of entries) if (!isWildcard) this.#exact.add(`${host} ${port}`)
  }

  has({ host, port }: Authority): boolean {
    if (this.#exact.has(`${host} ${port}`)) return true
    return isIP(host) === 0 && this.#wildcards.some((entry) => entry.port === port && host.endsWith(`.${entry.host}`))
  }
}

/**
 * Returns the wildcards whose names belong to different people: below a public suffix such as co.uk (`isPublic`), or of a
 * host that gives names to its users, such as github.io. The list of suffixes is loaded for a wildcard only.
 */
export async function sharedWildcards(texts: readonly string[]): Promise<{ entry: string; isPublic: boolean }[]> {
  const wildcards = texts.filter((text) => text.startsWith('*.'))
  if (wildcards.length === 0) return []
  const { suffixKind } = await import('./public-suffix.ts')
  return wildcards.flatMap((entry) => {
    const kind = suffixKind(parseEntry(entry)?.host ?? '')
    return kind === undefined ? [] : [{ entry, isPublic: kind === 'public' }]
  })
}
