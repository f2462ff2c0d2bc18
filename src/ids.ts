import { randomBytes } from 'node:crypto'
import { basename, extname } from 'node:path'

/** An agent, e.g. "lg-7a3f9c2d". Kept over its restarts. */
export type AgentId = string & { readonly __id?: 'agent' }
/** One life of an agent, e.g. "run-5f0c2b9e41d3". */
export type RunId = string & { readonly __id?: 'run' }
/** One LLM or service call, e.g. "call-19aa0b1c2d3e4f5a6b7c8". */
export type CallId = string & { readonly __id?: 'call' }

const POOL_BYTES = 4_096
let pool = Buffer.alloc(0)

/** To ask the system for random bytes costs as much for four thousand as for three. */
function hex(bytes: number): string {
  if (pool.length < bytes) pool = randomBytes(POOL_BYTES)
  const taken = pool.toString('hex', 0, bytes)
  pool = pool.subarray(bytes)
  return taken
}

/** Initials of the script's first two words and 8 hex digits: lead_gen_agent.py → "lg-7a3f9c2d". */
export function newAgentId(script: string): AgentId {
  const words = basename(script, extname(script))
    .split(/[^a-zA-Z0-9]+/)
    .filter(Boolean)
  const initials = words
    .slice(0, 2)
    .map((word) => word[0]!.toLowerCase())
    .join('')
  return `${initials || 'ag'}-${hex(4)}`
}

export const newRunId = (): RunId => `run-${hex(6)}`
let lastCallMs = 0
let callsInMs = 0

/** In the order in which they were made, so that rows of the ledger are written side by side. */
export function newCallId(): CallId {
  const ms = Date.now()
  callsInMs = ms === lastCallMs ? callsInMs + 1 : 0
  lastCallMs = ms
  return `call-${ms.toString(16)}${callsInMs.toString(16).padStart(4, '0')}${hex(3)}`
}

export const newRequestId = (): string => `req-${hex(8)}`
export const newAlertId = (): string => `alert-${hex(8)}`
export const newApiTokenId = (): string => `token-${hex(6)}`
export const newUserId = (): string => `user-${hex(6)}`
/** As hard to guess as a token: it stands in every refresh token. */
export const newSessionId = (): string => `session-${hex(16)}`
export const newSecretId = (): string => `secret-${hex(8)}`
export const newIncidentId = (): string => `pii-${hex(6)}`
