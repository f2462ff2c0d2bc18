/** Addresses that the program must never connect to. */
import { isIP } from 'node:net'

/** Cloud metadata services outside the link-local range: Alibaba, Azure, Oracle, AWS over IPv6. */
const METADATA = new Set(['100.100.100.200', '168.63.129.16', '192.0.0.192', 'fd00:ec2::254'])

/**
 * True for link-local addresses, where clouds serve their machines' credentials: 169.254.0.0/16, fe80::/10, and
 * 169.254.0.0/16 written as IPv6; and for METADATA. `host` is an address or a `URL.hostname`, which has normalized
 * other spellings (0xa9fea9fe, 2852039166). Names are not resolved, so callers check again with the resolved address.
 */
export function isLinkLocal(host: string): boolean {
  const address = host.toLowerCase().replace(/^\[|\]$/g, '')
  if (METADATA.has(address)) return true
  if (isIP(address) === 4) return address.startsWith('169.254.')
  if (isIP(address) !== 6) return false
  return /^fe[89ab][0-9a-f]:/.test(address) || /^(::ffff:|64:ff9b::)(169\.254\.|a9fe:)/.test(address)
}
