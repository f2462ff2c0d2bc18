/**
 * Connection pools of undici, for HTTP/1.1 only: its HTTP/2 client has never been tested here, and undici would choose
 * it for every server that offers it. Only these parts of undici are loaded, because its fetch and its mocks, which are
 * not used, cost a tenth of the start.
 */
import type { Agent, Dispatcher as AnyDispatcher } from 'undici'
import api from 'undici/lib/api/index.js'
import AgentParts from 'undici/lib/dispatcher/agent.js'
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'
import EnvHttpProxyAgent from 'undici/lib/dispatcher/env-http-proxy-agent.js'
import PoolParts from 'undici/lib/dispatcher/pool.js'

// As in undici's own entry point: `request`, `stream` and the others are methods of every dispatcher.
Object.assign(Dispatcher.prototype, api)

/** Pools for any number of origins. Must be closed or destroyed. */
export const openAgent = (options: Omit<Agent.Options, 'allowH2'>): Agent =>
  new AgentParts({ ...options, allowH2: false })

/** How connections leave this machine. */
export interface Network {
  /** Certificates that are trusted; undefined for those of Node. */
  ca: string[] | undefined
  /** Proxies of https and http addresses; empty for none. */
  httpsProxy: string
  httpProxy: string
  /** Hosts that are reached without them. */
  noProxy: string
}

export interface PoolOptions {
  connections: number
  connectTimeoutMs?: number
}

/** Connections to one origin, through the network's proxy for it. Must be closed or destroyed. */
export function openPool(
  origin: string,
  { ca, httpsProxy, httpProxy, noProxy }: Network,
  { connections, connectTimeoutMs }: PoolOptions,
): AnyDispatcher {
  const proxy = origin.startsWith('https:') ? httpsProxy : httpProxy
  const connect = { ...(ca && { ca }), ...(connectTimeoutMs !== undefined && { timeout: connectTimeoutMs }) }
  const options = { connections, connect, pipelining: 1, allowH2: false }
  if (!proxy) return new PoolParts(origin, options)
  const proxies = { httpProxy: proxy, httpsProxy: proxy, noProxy, requestTls: connect, proxyTls: connect }
  return new EnvHttpProxyAgent({ ...options, ...proxies })
}

/** The same for any number of origins. */
export const openPools = (network: Network, options: PoolOptions): AnyDispatcher =>
  new AgentParts({ allowH2: false, factory: (origin) => openPool(String(origin), network, options) })
