/** Public suffixes, such as co.uk, and hosts that give names to their users, such as github.io. Loaded when needed. */
import { parse } from 'tldts'

/** Of a name that is itself such a suffix: whether a registry has it (`public`) or a company; undefined for other names. */
export function suffixKind(name: string): 'public' | 'private' | undefined {
  const { domain, isPrivate } = parse(name, { allowPrivateDomains: true })
  if (domain !== null) return undefined
  return isPrivate ? 'private' : 'public'
}
