/** Whose request it is, also behind proxies. */
import { BlockList, isIP } from 'node:net'
import { getConnInfo } from '@hono/node-server/conninfo'
import type { Context } from 'hono'
import { addNetwork, isIn } from '../config/addresses.ts'
import { CageError } from '../core/errors.ts'

export const NO_PROXIES = new BlockList()

/** Reads addresses and networks, such as "10.0.0.0/8,::1". Throws CageError `usage`. */
export function parseProxies(list: string): BlockList {
  const proxies = new BlockList()
  for (const entry of list
    .split(',')
    .map((text) => text.trim())
    .filter(Boolean)) {
    // One of everybody could claim to be anybody.
    if (!addNetwork(proxies, entry)) {
      throw new CageError(
        'usage',
        `expected addresses and networks such as 10.0.0.0/8 as trusted proxies, got "${entry}"`,
      )
    }
  }
  return proxies
}

/**
 * The address of the caller: that of the connection, or, if that is a trusted proxy's, the rightmost one of
 * X-Forwarded-For that is not. Any client may have written the part to the left of it.
 */
export function callerAddress(context: Context, trusted: BlockList): string {
  const claimed = (context.req.header('x-forwarded-for') ?? '').split(',')
  let address = plain(getConnInfo(context).remote.address ?? 'unknown')
  while (isIn(trusted, address)) {
    const before = plain(claimed.pop() ?? '')
    // What cannot be read counts as its proxy's.
    if (!isIP(before)) break
    address = before
  }
  return address
}

/** Without the network card; an IPv4 address that is written as one of IPv6 is the same. */
const plain = (address: string): string =>
  address
    .trim()
    .replace(/%.*$/, '')
    .replace(/^::ffff:(?=\d+\.)/i, '')
