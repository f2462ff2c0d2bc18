/**
 * The system's table of TCP connections (`/proc/net/tcp`, Linux only): finds the client's socket of a connection made by a
 * process of this machine. The table is read on a thread, once for a batch of lookups, and only up to the last match.
 */
import { open } from 'node:fs/promises'
import { isIPv4 } from 'node:net'

/** A connection as the server sees it: `remote` is the client. */
export interface Connection {
  localAddress?: string | undefined
  localPort?: number | undefined
  remoteAddress?: string | undefined
  remotePort?: number | undefined
}

/** The client's socket. */
export interface PeerSocket {
  /** What `/proc/<pid>/fd` calls it; "0" once its process has closed it. */
  inode: string
  /** The user whose process made it. */
  uid: number
}

/** The clients' sockets, without those that belong to no process of this machine. */
export async function findSockets(connections: Iterable<Connection>): Promise<Map<Connection, PeerSocket>> {
  const found = new Map<Connection, PeerSocket>()
  const known = [...connections].filter(isKnown)
  const v4 = known.filter(({ remoteAddress }) => isIPv4(withoutMapping(remoteAddress)))
  await lookUp('/proc/net/tcp', new Map(v4.map((each) => [endsOf(each, bytesOf), each])), found)
  // A client may use an IPv6 socket for an IPv4 address.
  const left = known.filter((each) => !found.has(each))
  await lookUp('/proc/net/tcp6', new Map(left.map((each) => [endsOf(each, mappedBytesOf), each])), found)
  return found
}

/** `rows`: by the text of their endpoints. Removes the entries that it finds. */
async function lookUp<C>(path: string, rows: Map<string, C>, found: Map<C, PeerSocket>): Promise<void> {
  if (rows.size === 0) return
  // A machine without IPv6 has no such table.
  await using file = await open(path).catch(() => undefined)
  if (!file) return
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  let rest = ''
  while (rows.size > 0) {
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, null)
    if (bytesRead === 0) return
    const text = rest + buffer.toString('latin1', 0, bytesRead)
    const end = text.lastIndexOf('\n') + 1
    rest = text.slice(end)
    for (const [ends, connection] of rows) {
      const at = text.indexOf(` ${ends} `)
      if (at < 0 || at >= end) continue
      found.set(connection, parseRow(text.slice(at + ends.length + 2, text.indexOf('\n', at))))
      rows.delete(ends)
    }
  }
}

/** The kernel returns one page per read. */
const CHUNK_BYTES = 16_384

/** `sl local remote` and then `st tx:rx tr:when retransmits uid timeout inode …`, see proc_net_tcp.txt of the kernel. */
function parseRow(row: string): PeerSocket {
  const [, , , , uid, , inode = '0'] = row.split(/ +/)
  return { inode, uid: Number(uid) }
}

type KnownConnection = { [Field in keyof Connection]-?: NonNullable<Connection[Field]> }

const isKnown = (connection: Connection): connection is KnownConnection =>
  Boolean(connection.localAddress && connection.localPort && connection.remoteAddress && connection.remotePort)

/** The row of the client's socket names the client first. */
const endsOf = (
  { localAddress, localPort, remoteAddress, remotePort }: KnownConnection,
  bytes: (address: string) => number[],
): string =>
  `${words(bytes(withoutMapping(remoteAddress)))}:${portHex(remotePort)} ${words(bytes(withoutMapping(localAddress)))}:${portHex(localPort)}`

/** The address without its zone, as IPv4 if it is IPv4-mapped. */
export const withoutMapping = (address: string): string =>
  address.replace(/^::ffff:(?=[\d.]+$)/i, '').replace(/%.*$/, '')

const portHex = (port: number): string => port.toString(16).toUpperCase().padStart(4, '0')

/** Four bytes at a time in host byte order. On a big-endian machine nothing is found. */
function words(bytes: readonly number[]): string {
  let hex = ''
  for (let i = 0; i < bytes.length; i += 4)
    hex += Buffer.from(bytes.slice(i, i + 4))
      .reverse()
      .toString('hex')
  return hex.toUpperCase()
}

function bytesOf(address: string): number[] {
  if (isIPv4(address)) return address.split('.').map(Number)
  const [head = '', tail] = address.split('::')
  const groups = (text: string) => text.split(':').filter(Boolean)
  const [first, last] = [groups(head), groups(tail ?? '')]
  const all = [...first, ...new Array<string>(8 - first.length - last.length).fill('0'), ...last]
  return all.flatMap((group) => [Number.parseInt(group, 16) >> 8, Number.parseInt(group, 16) & 0xff])
}

const mappedBytesOf = (address: string): number[] =>
  isIPv4(address) ? [...new Array<number>(10).fill(0), 0xff, 0xff, ...bytesOf(address)] : bytesOf(address)
