/** Relays bytes between two sockets, unread except for the first message of TLS, which names the server. */
import { isIP, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Authority, showAuthority } from '../config/authority.ts'
import { type Clock, every } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { type Hello, readHello } from './server-name.ts'

/** A tunnel ends once an interval of this length passes without a byte. */
const IDLE_MS = 600_000
/** How long a client may take to begin TLS. */
export const HELLO_MS = 30_000

/** Copies bytes in both directions. Each side may end before the other one; both are closed when one is cut. */
export function relay(client: Socket, server: Socket, clock: Clock): void {
  const end = () => {
    stop()
    client.destroy()
    server.destroy()
  }
  let seen = 0
  const stop = every(clock, IDLE_MS, () => {
    const bytes = client.bytesRead + server.bytesRead
    if (bytes === seen) end()
    seen = bytes
  })
  const watch = (socket: Socket, other: Socket) => {
    socket
      .setNoDelay()
      .on('error', end)
      .on('close', () => {
        // Its last bytes are still on their way.
        if (socket.readableEnded && other.writable) other.end(() => other.destroy())
        else if (!socket.readableEnded || other.writableFinished) other.destroy()
        if (other.destroyed) stop()
      })
  }
  watch(client, server)
  watch(server, client)
  client.pipe(server)
  server.pipe(client)
}

/**
 * Reads the beginning of the client's TLS and puts it back. Rejects with CageError `egress_host_mismatch` unless it names
 * the server that the tunnel leads to.
 */
export async function requireServerName(client: Duplex, to: Authority, clock: Clock): Promise<void> {
  const hello = await firstHello(client, to, clock)
  const expected = isIP(to.host) ? undefined : to.host
  if (hello.kind !== 'tls') throw mismatch(to, 'no TLS')
  if (hello.isHidden) throw mismatch(to, 'an encrypted server name')
  if (hello.name !== expected) throw mismatch(to, `the server name ${hello.name ?? '(none)'}`)
}

const mismatch = (to: Authority, what: string): CageError =>
  new CageError('egress_host_mismatch', `the tunnel leads to ${showAuthority(to)}, and the client sent ${what}`, {
    facts: { host: to.host, port: to.port },
  })

function firstHello(client: Duplex, to: Authority, clock: Clock): Promise<Hello> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    const settle = (act: () => void) => {
      timer.cancel()
      client.off('data', onData).off('end', onClose).off('close', onClose)
      client.pause()
      act()
    }
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      const hello = readHello(bytes)
      if (hello.kind === 'partial') return
      settle(() => {
        client.unshift(bytes)
        resolve(hello)
      })
    }
    const onClose = () => settle(() => reject(mismatch(to, 'nothing')))
    const timer = clock.after(HELLO_MS, onClose)
    client.on('data', onData).on('end', onClose).on('close', onClose)
  })
}
