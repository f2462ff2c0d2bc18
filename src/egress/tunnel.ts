/** Relays bytes between two sockets, unread except for the first message of TLS, which names the server. */
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { type Authority, showAuthority } from '../config/authority.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { type Hello, readHello } from './server-name.ts'

/** A tunnel without a byte for this long ends. */
const IDLE_MS = 600_000
/** How long a client may take to begin TLS. */
export const HELLO_MS = 30_000

/** Ends both when one ends. Resolves with the number of bytes in both directions once they are closed. */
export function relay(client: Duplex, server: Duplex, clock: Clock): Promise<number> {
  let bytes = 0
  let timer: Timer | undefined
  const end = () => {
    client.destroy()
    server.destroy()
  }
  let last = clock.monotonic()
  const watch = () => {
    const left = last + IDLE_MS - clock.monotonic()
    if (left <= 0) return end()
    timer = clock.after(left, watch).unref()
  }
  watch()
  return new Promise((resolve) => {
    let open = 2
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        last = clock.monotonic()
      })
      from.on('error', end)
      from.on('close', () => {
        open -= 1
        if (!to.writableEnded) to.end()
        if (open > 0) return
        timer?.cancel()
        resolve(bytes)
      })
      from.pipe(to)
    }
  })
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
      client.off('data', onData).off('close', onClose)
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
    client.on('data', onData).on('close', onClose)
  })
}
