import { randomBytes } from 'node:crypto'
import { basename, extname } from 'node:path'
import type { AgentId, CallId, RunId } from './id-types.ts'

export type { AgentId, CallId, RunId } from './id-types.ts'

const POOL_BYTES = 4_096
let pool = Buffer.alloc(0)

/** Requesting random bytes from the system costs as much for four thousand as for three. */
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
  return `${initials || 'ag'}-${hex(4)}` as AgentId
}

export const newRunId = (): RunId => `run-${hex(6)}` as RunId
let lastCallMs = 0
let lastCallTime = ''
let callsInMs = 0

/** In creation order, so that new rows of the ledger are stored next to each other. */
export function newCallId(): CallId {
  const ms = Date.now()
  if (ms === lastCallMs) callsInMs++
  else [lastCallMs, lastCallTime, callsInMs] = [ms, ms.toString(16), 0]
  return `call-${lastCallTime}${callsInMs.toString(16).padStart(4, '0')}${hex(3)}` as CallId
}

/** Not after the id of any call made at this time or later, and after all earlier ones. `ms`: since 1970. */
export const callIdsFrom = (ms: number): CallId => `call-${Math.max(0, ms).toString(16).padStart(11, '0')}` as CallId

export const newRequestId = (): string => `req-${hex(8)}`
export const newAlertId = (): string => `alert-${hex(8)}`
export const newApiTokenId = (): string => `token-${hex(6)}`
export const newReportLinkId = (): string => `link-${hex(6)}`
export const newUserId = (): string => `user-${hex(6)}`
/** As hard to guess as a token: it is part of every refresh token. */
export const newSessionId = (): string => `session-${hex(16)}`
export const newSecretId = (): string => `secret-${hex(8)}`
export const newIncidentId = (): string => `pii-${hex(6)}`

/** The agent named by a caller. Whether it exists shows when it is looked up. */
export const toAgentId = (text: string): AgentId => text as AgentId
/** The run named by a caller. Whether it exists shows when it is looked up. */
export const toRunId = (text: string): RunId => text as RunId
/** The call named by a caller. Whether it exists shows when it is looked up. */
export const toCallId = (text: string): CallId => text as CallId
