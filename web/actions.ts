/** All actions of a user on the screen. Each throws ApiError. */
import type { RuntimeEvent } from '../src/core/events.ts'
import type { ConfiguredScope } from '../src/core/money.ts'
import { send } from './session.ts'
import { addOlder, log } from './store.ts'

const agentPath = (id: string) => `/api/agents/${encodeURIComponent(id)}`

export const stop = (id: string) => send('POST', `${agentPath(id)}/stop`)
export const pause = (id: string) => send('POST', `${agentPath(id)}/pause`)
/** Resumes a paused agent, and restarts one that was stopped or failed. `addUsd`: raises its limit first. */
export const resume = (id: string, addUsd?: string) =>
  send('POST', `${agentPath(id)}/resume`, addUsd === undefined ? undefined : { add_usd: addUsd })
/** Starts an ended agent again, under the same id. */
export const restart = (id: string) => send('POST', `${agentPath(id)}/restart`)
export const raiseBudget = (id: string, addUsd: string) => send('PATCH', `${agentPath(id)}/budget`, { add_usd: addUsd })
export const raiseConfigured = (scope: ConfiguredScope, addUsd: string) =>
  send('PATCH', `/api/budgets/${scope}`, { add_usd: addUsd })
export const resetCircuit = (name: string) => send('POST', `/api/circuits/${encodeURIComponent(name)}/reset`)
export const acknowledge = (id: string) => send('POST', `/api/alerts/${encodeURIComponent(id)}/ack`)

const secretPath = (id: string) => `/api/secrets/${encodeURIComponent(id)}`

export const createSecret = (name: string, environment: string, value: string) =>
  send('POST', '/api/secrets', { name, environment, value })
export const updateSecret = (id: string, value: string) => send('PUT', secretPath(id), { value })
export const deleteSecret = (id: string) => send('DELETE', secretPath(id))
export const restoreSecret = (id: string) => send('POST', `${secretPath(id)}/restore`)
/** Resolves with the value. */
export const revealSecret = async (id: string) =>
  (await send<{ value: string }>('GET', `${secretPath(id)}?reveal=true`)).value

export const resendAlert = (id: string) => send('POST', `/api/alerts/${encodeURIComponent(id)}/resend`)

/** Loads the page of events before the oldest loaded one; resolves with false when there is none. */
export async function loadOlder(): Promise<boolean> {
  const before = log.value[0]?.seq
  const query = before === undefined ? '' : `&before=${before}`
  const { events } = await send<{ events: RuntimeEvent[] }>('GET', `/api/events?limit=1000${query}`)
  addOlder(events)
  return events.length > 0
}
