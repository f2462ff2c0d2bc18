/** The first check of a call: only a running agent makes calls. */
import { CageError } from '../core/errors.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Caller } from './call.ts'

/** A stopped process sends nothing: a call this soon after the pause was already in flight. */
const IN_FLIGHT_MS = 1_000

/**
 * Resolves when the agent may make this call: at once, or on resume for a call that was in flight when the agent was
 * paused, so that a pause costs a supervised agent no call. Throws CageError `agent_paused` or `agent_not_running`,
 * and the signal's reason when the client left.
 */
export async function waitUntilRunnable(state: StateManager, caller: Caller, signal: AbortSignal): Promise<void> {
  if (wasInFlight(state, caller)) await untilUnpaused(state, caller, signal)
  const { agentId } = caller
  const facts = { agent_id: agentId }
  const { state: now, exhausted } = state.read().agents[agentId] ?? {}
  if (now === 'starting' || now === 'running') return
  if (now === 'paused') throw new CageError('agent_paused', `${agentId} is paused`, { facts, retryAfterS: 5 })
  if (now === 'stopping' && exhausted) {
    throw new CageError('budget_exceeded', `${agentId} has spent its budget and is about to be stopped`, { facts })
  }
  throw new CageError('agent_not_running', `${agentId} is ${now ?? 'unknown'}, so it makes no calls`, { facts })
}

const pausedAt = (state: StateManager, { agentId }: Caller): string | null =>
  state.read().agents[agentId]?.paused_at ?? null

function wasInFlight(state: StateManager, caller: Caller): boolean {
  const at = pausedAt(state, caller)
  return caller.runId !== null && at !== null && Math.abs(state.now() - Date.parse(at)) <= IN_FLIGHT_MS
}

function untilUnpaused(state: StateManager, caller: Caller, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const leave = () => finish(() => reject(signal.reason))
    const unsubscribe = state.subscribe(() => {
      if (pausedAt(state, caller) === null) finish(resolve)
    })
    const finish = (settle: () => void) => {
      unsubscribe()
      signal.removeEventListener('abort', leave)
      settle()
    }
    if (signal.aborted) leave()
    else signal.addEventListener('abort', leave)
  })
}
