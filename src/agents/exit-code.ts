import { constants } from 'node:os'
import { ERRORS } from '../core/errors.ts'
import type { Exit, FinalState } from './restart-policy.ts'

/** How an agent ended for good. */
export interface AgentEnd extends Exit {
  state: FinalState
}

/**
 * The exit code of `start`: the agent's own, 128 + n when signal n ended it, 3 when the budget stopped it, 1 when
 * personal data did.
 */
export function exitCodeOf({ state, exitCode, signal }: AgentEnd): number {
  if (state === 'budget_stopped') return ERRORS.budget_exceeded.exit
  if (state === 'blocked') return ERRORS.pii_blocked.exit
  if (signal) return 128 + constants.signals[signal]
  return exitCode ?? 1
}
