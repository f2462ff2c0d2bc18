/** Top-level domains: those of the root zone, and the reserved names, which people type to try things out. */
import { domainToASCII } from 'node:url'
import list from './top-level-domains.json' with { type: 'json' }

/** RFC 2606 and 6761: not personal, but in the form of an address. */
const RESERVED = ['example', 'test', 'invalid', 'localhost']
const TOP_LEVEL = new Set([...list.domains.split(' '), ...RESERVED])

/**
 * Whether a label is a top-level domain, in any script and case. One without a letter of ASCII always is: no program and
 * no file has such a name, and scripts get new domains.
 */
export function isTopLevelDomain(label: string): boolean {
  if (label.length > 1 && !/[\0-\x7f]/.test(label)) return true
  const lower = label.toLowerCase()
  return TOP_LEVEL.has(lower) || (/[^\0-\x7f]/.test(lower) && TOP_LEVEL.has(domainToASCII(lower)))
}

/** Those that nearly every address had for decades. */
const GENERIC = /^(?:com|org|net|edu|gov)/i
/** Before a capital or another script. */
const BEFORE_WORD = /^(?:[a-z]{2,}(?=[^a-z])|[A-Z]{2,}(?=[^\0-\x7f]))/

/**
 * Returns the length of a top-level domain at the beginning of a label: a word is glued to the address
 * (`jane@example.comPhone`, `jane@example.comthanks`). 0 without one.
 */
export function leadingTopLevelDomain(label: string): number {
  const lead = BEFORE_WORD.exec(label)?.[0] ?? ''
  return TOP_LEVEL.has(lead.toLowerCase()) ? lead.length : (GENERIC.exec(label)?.[0].length ?? 0)
}
