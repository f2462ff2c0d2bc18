/**
 * Connects to a destination of an agent. A name is resolved once, each of its addresses is judged, and one of those is
 * dialed: a name server cannot answer twice. With a proxy of the user's own, that proxy resolves names.
 */
import { connect as connectTcp, isIP, type LookupFunction, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { connect as connectTls } from 'node:tls'
import { isLinkLocal, isPublic, withoutMapping } from '../config/addresses.ts'
import { type Authority, showAuthority } from '../config/authority.ts'
import type { Clock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { Network } from '../core/http-pools.ts'

export interface Dialing {
  network: Network
  clock: Clock
  /** Returns the addresses of a name. */
  resolve: (name: string) => Promise<string[]>
  /** The port of this server, on every address of this machine. */
  ownPort: () => number
}

/** Which addresses a destination may have: `public` ones, also those of the operator's networks, or `any`. */
export type Reach = 'public' | 'private' | 'any'

const CONNECT_MS = 15_000
/** How long an address may take before the next one is tried. */
const NEXT_ADDRESS_MS = 1_000
const MAX_HEAD = 8_192

/**
 * Throws CageError `egress_address_refused` where an address of the name is out of reach, `provider_unreachable` and
 * `provider_timeout` where nothing answers.
 */
export async function dial(to: Authority, reach: Reach, dialing: Dialing): Promise<Socket> {
  const socket = await connectTo(to, reach, dialing)
  // As the client's own connection would: one side may end before the other.
  socket.allowHalfOpen = true
  return socket
}

async function connectTo(to: Authority, reach: Reach, dialing: Dialing): Promise<Socket> {
  const proxy = proxyFor(to, dialing.network)
  if (proxy && isIP(to.host) === 0) return connectThrough(proxy, to, dialing)
  const addresses = isIP(to.host) ? [to.host] : await addressesOf(to, dialing)
  const refused = addresses.find((address) => !isWithin(address, to.port, reach, dialing))
  if (refused !== undefined) throw addressRefused(to, refused)
  return proxy ? connectThrough(proxy, to, dialing) : connectToOne(addresses, to, dialing)
}

export const addressRefused = (to: Authority, address: string): CageError =>
  new CageError('egress_address_refused', `${showAuthority(to)} is at ${address}, which agents do not reach`, {
    facts: { host: to.host, port: to.port, address },
    hint: `if it belongs to your network, add ${JSON.stringify(showAuthority(to))} to agent.egress.private`,
  })

async function addressesOf(to: Authority, { resolve }: Dialing): Promise<string[]> {
  try {
    return await resolve(to.host)
  } catch (cause) {
    throw unreachable(to, cause)
  }
}

function isWithin(given: string, port: number, reach: Reach, { ownPort }: Dialing): boolean {
  const address = withoutMapping(given)
  if (port === ownPort() && isOwn(address)) return false
  if (reach === 'any') return true
  return reach === 'private' ? !isLinkLocal(address) : isPublic(address)
}

/** "0.0.0.0" and "::" are this machine, too. */
const isOwn = (address: string): boolean =>
  /^(127\.|0\.0\.0\.0$|::1?$)/.test(address) ||
  Object.values(networkInterfaces()).some((each) => each?.some((own) => own.address === address))

/** The first address that answers, in the order of the resolver. */
function connectToOne(addresses: readonly string[], to: Authority, dialing: Dialing): Promise<Socket> {
  // In place of a second resolution.
  const lookup: LookupFunction = (_host, _options, answer) =>
    answer(
      null,
      addresses.map((address) => ({ address, family: isIP(address) })),
    )
  const socket = connectTcp({
    ...{ ...to, lookup, noDelay: true },
    ...{ autoSelectFamily: true, autoSelectFamilyAttemptTimeout: NEXT_ADDRESS_MS },
  })
  return opened(socket, 'connect', to, dialing)
}

function proxyFor({ host, port }: Authority, { httpProxy, httpsProxy, noProxy }: Network): URL | undefined {
  const proxy = port === 80 ? httpProxy : httpsProxy
  if (!proxy) return undefined
  const direct = noProxy
    .toLowerCase()
    .split(/[\s,]+/)
    .filter(Boolean)
  const isDirect = direct.some(
    (name) => name === '*' || name === host || host.endsWith(`.${name.replace(/^\*?\./, '')}`),
  )
  return isDirect ? undefined : new URL(proxy)
}

/** Asks the user's proxy for a tunnel. */
async function connectThrough(proxy: URL, to: Authority, dialing: Dialing): Promise<Socket> {
  const isEncrypted = proxy.protocol === 'https:'
  const port = Number(proxy.port || (isEncrypted ? 443 : 80))
  const host = proxy.hostname.replace(/^\[|\]$/g, '')
  const { ca } = dialing.network
  const socket = isEncrypted
    ? connectTls({ host, port, servername: isIP(host) ? '' : host, ...(ca && { ca }) })
    : connectTcp({ host, port, noDelay: true })
  await opened(socket, isEncrypted ? 'secureConnect' : 'connect', to, dialing)
  const target = showAuthority(to)
  const user = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`
  const credentials = user === ':' ? '' : `Proxy-Authorization: Basic ${Buffer.from(user).toString('base64')}\r\n`
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${credentials}\r\n`)
  const status = await readHead(socket, to, dialing)
  if (status === '200') return socket
  socket.destroy()
  throw unreachable(to, new Error(`the proxy ${proxy.host} answered ${status}`))
}

/** Reads exactly the head of the proxy's answer: what follows belongs to the tunnel. */
async function readHead(socket: Socket, to: Authority, dialing: Dialing): Promise<string> {
  let head = ''
  while (!head.endsWith('\r\n\r\n') && head.length < MAX_HEAD) {
    const piece = socket.read(1) as Buffer | null
    if (piece) head += piece.toString('latin1')
    else await opened(socket, 'readable', to, dialing)
  }
  return head.split(' ', 2)[1] ?? ''
}

/** Resolves with the socket once it has emitted `event`; destroys it when it does not. Its later errors only close it. */
function opened(socket: Socket, event: string, to: Authority, { clock }: Dialing): Promise<Socket> {
  if (socket.listenerCount('error') === 0) socket.on('error', () => {})
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      timer.cancel()
      for (const [name, listener] of Object.entries(listeners)) socket.off(name, listener)
      act()
    }
    const fail = (error: CageError) =>
      settle(() => {
        socket.destroy()
        reject(error)
      })
    const listeners: Record<string, (error?: Error) => void> = {
      [event]: () => settle(() => resolve(socket)),
      error: (error) => fail(unreachable(to, error)),
      close: () => fail(unreachable(to, new Error('closed'))),
    }
    const timer = clock.after(CONNECT_MS, () =>
      fail(new CageError('provider_timeout', `${showAuthority(to)} did not answer within ${CONNECT_MS / 1000} s`)),
    )
    for (const [name, listener] of Object.entries(listeners)) socket.on(name, listener)
  })
}

function unreachable(to: Authority, cause: unknown): CageError {
  const fault = String((cause as { code?: unknown }).code ?? (cause as Error).message)
  return new CageError('provider_unreachable', `${showAuthority(to)} cannot be reached (${fault})`, {
    facts: { host: to.host, port: to.port, fault },
    hint: 'check the name and the network',
    cause,
  })
}
