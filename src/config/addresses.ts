/** Addresses that the program must never connect to, networks, and which addresses are public. */
import { BlockList, isIP, isIPv6 } from 'node:net'

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

/** The IPv4 address that is written as one of IPv6 in hexadecimal, else the address as it is. */
export function withoutMapping(address: string): string {
  const [, high, low] = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address) ?? []
  if (high === undefined || low === undefined) return address.replace(/^::ffff:(?=[\d.]+$)/i, '')
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16)
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join('.')
}

/** Adds an address or a network such as "10.0.0.0/8". Returns false for anything else, and for a network of everybody. */
export function addNetwork(list: BlockList, entry: string): boolean {
  const [address = '', prefix, ...rest] = entry.split('/')
  const [family, longest] = isIPv6(address) ? (['ipv6', 128] as const) : (['ipv4', 32] as const)
  const length = prefix === undefined ? longest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : Number.NaN
  if (rest.length > 0 || !isIP(address) || !(length > 0 && length <= longest)) return false
  list.addSubnet(address, length, family)
  return true
}

export const isNetwork = (entry: string): boolean => addNetwork(new BlockList(), entry)

/** `address`: without brackets. An IPv4 address that is written as one of IPv6 is the same. */
export const isIn = (list: BlockList, address: string): boolean =>
  isIP(address) !== 0 && list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')

/** Where anybody may be reached: all of IPv4, and 2000::/3 of IPv6, but for what IANA has reserved for special purposes. */
export const isPublic = (address: string): boolean => isIn(ROUTED, address) && !isIn(SPECIAL, address)

const listOf = (networks: string): BlockList => {
  const list = new BlockList()
  for (const network of networks.trim().split(/\s+/)) addNetwork(list, network)
  return list
}

const ROUTED = listOf('0.0.0.0/1 128.0.0.0/1 2000::/3')

/** The IPv4 and IPv6 Special-Purpose Address Registries; IPv6 with an IPv4 address in it, which may be any; multicast. */
const SPECIAL = listOf(`
  0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24 192.31.196.0/24
  192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/3
  2001::/23 2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20`)
