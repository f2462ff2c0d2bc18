/**
 * Connection pools of undici, for HTTP/1.1 only: its HTTP/2 client has never been tested here, and undici would choose
 * it for every server that offers it. Only these parts of undici are loaded, because its fetch and its mocks, which are
 * not used, cost a tenth of the start.
 */
import type { Agent, Pool } from 'undici'
import api from 'undici/lib/api/index.js'
import AgentParts from 'undici/lib/dispatcher/agent.js'
import Dispatcher from 'undici/lib/dispatcher/dispatcher.js'
import PoolParts from 'undici/lib/dispatcher/pool.js'

// As in undici's own entry point: `request`, `stream` and the others are methods of every dispatcher.
Object.assign(Dispatcher.prototype, api)

/** Pools for any number of origins. Must be closed or destroyed. */
export const openAgent = (options: Omit<Agent.Options, 'allowH2'>): Agent =>
  new AgentParts({ ...options, allowH2: false })

/** Connections to one origin. Must be closed or destroyed. */
export const openPool = (origin: string, options: Omit<Pool.Options, 'allowH2'>): Pool =>
  new PoolParts(origin, { ...options, allowH2: false })
