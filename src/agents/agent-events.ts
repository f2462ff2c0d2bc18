/** The events of an agent's life and their messages. Pure. */

import type { AgentState, EventData, Level, NewEvent } from '../core/events.ts'
import type { RunId } from '../core/ids.ts'
import type { Attempt, Planted } from '../sandbox/reports.ts'
import { type Exit, STOPPED_BY, type StopReason } from './restart-policy.ts'
import type { OutputEntry } from './traceback.ts'

export function startedEvent(data: EventData['agent.started']): NewEvent {
  const what = data.restart > 0 ? `restarted (restart ${data.restart})` : 'started'
  return { type: 'agent.started', level: 'OK', message: `${data.name} ${what}, pid ${data.pid}`, data }
}

export function stoppedEvent(name: string, reason: StopReason): NewEvent {
  const level = reason === 'budget' || reason === 'pii' ? 'CRIT' : 'INFO'
  const message = `${name} is being stopped by ${STOPPED_BY[reason]}`
  return { type: 'agent.stopped', level, message, data: { reason, survivors: [] } }
}

/** `survivors`: the processes that survived SIGKILL. */
export function survivedEvent(name: string, reason: StopReason | null, survivors: number[]): NewEvent {
  const message = `${name} was stopped, but some of its processes are still alive: ${survivors.join(', ')}`
  return { type: 'agent.stopped', level: 'CRIT', message, data: { reason: reason ?? 'exit', survivors } }
}

const EXIT_LEVEL: Partial<Record<AgentState, Level>> = {
  starting: 'WARN',
  completed: 'OK',
  failed: 'ERROR',
  crash_loop: 'CRIT',
  budget_stopped: 'WARN',
  blocked: 'WARN',
}

const EXIT_WORDS: Partial<Record<AgentState, string>> = {
  starting: 'will be restarted',
  completed: 'completed',
  failed: 'failed',
  crash_loop: 'crashed repeatedly and is not restarted',
  stopped: 'stopped',
  blocked: 'blocked',
}

/** The agent's state after an exit; 'starting' when it is restarted. */
export interface ExitOutcome {
  state: AgentState
  reason: string
  restartInMs?: number
}

export function exitedEvent(name: string, runId: RunId, { exitCode, signal }: Exit, outcome: ExitOutcome): NewEvent {
  const { state, reason, restartInMs } = outcome
  const when = restartInMs === undefined ? '' : ` in ${restartInMs} ms`
  return {
    type: 'agent.exited',
    level: EXIT_LEVEL[state] ?? 'INFO',
    message: `${name} ${EXIT_WORDS[state] ?? 'ended'}${when}: ${reason}`,
    data: { run_id: runId, exit_code: exitCode, signal, state, reason, restart_in_ms: restartInMs ?? null },
  }
}

export function outputEvent(stream: 'stdout' | 'stderr', { text, truncated, error }: OutputEntry): NewEvent {
  const data = truncated ? { stream, text, truncated } : { stream, text }
  return { type: 'agent.output', level: error === null ? 'INFO' : 'ERROR', message: error ?? text, data }
}

/** A traceback that the agent has printed before. */
export function repeatedErrorEvent(error: string): NewEvent {
  const text = `${error} (the same traceback as before)`
  return { type: 'agent.output', level: 'ERROR', message: text, data: { stream: 'stderr', text } }
}

/** Lines that came too fast to be shown as events. */
export function unshownEvent(
  stream: 'stdout' | 'stderr',
  { logged, dropped }: { logged: number; dropped: number },
): NewEvent {
  const parts = [
    ...(logged > 0 ? [`${countOf(logged)} in the log file only`] : []),
    ...(dropped > 0 ? [`${countOf(dropped)} dropped, more than log.max_agent_output_bytes a day`] : []),
  ]
  const text = parts.join('; ')
  return { type: 'agent.output', level: dropped > 0 ? 'WARN' : 'INFO', message: text, data: { stream, text } }
}

const countOf = (lines: number): string => `${lines} ${lines === 1 ? 'line' : 'lines'}`

const ATTEMPTS = { connect: 'to connect to', read: 'to read', write: 'to write' } as const
const SEEN = { connect: 'connected past the gateway to', read: 'opened', write: 'opened for writing' } as const

/** The sandbox's refusals and observations of an agent. */
export function attemptEvent(name: string, { action, target, count, refused }: Attempt): NewEvent {
  const times = count > 1 ? ` (${count} times)` : ''
  const data = { action, target, count }
  return refused
    ? { type: 'sandbox.denied', level: 'WARN', message: `${name} tried ${ATTEMPTS[action]} ${target}${times}`, data }
    : { type: 'sandbox.observed', level: 'INFO', message: `${name} ${SEEN[action]} ${target}${times}`, data }
}

export function plantedEvent(name: string, { planted, aside }: Planted): NewEvent {
  const message = `${name} left ${planted}, which other programs may load or run: moved to ${aside}; rename it back to keep it`
  return { type: 'sandbox.planted', level: 'WARN', message, data: { path: planted, moved_to: aside } }
}

export function bypassedEvent(name: string, provider: string, { target, count }: Attempt): NewEvent {
  const message = `${name} connected to ${provider} directly (${target}): such calls are not limited, priced or redacted`
  return { type: 'agent.bypassed', level: 'CRIT', message, data: { provider, target, count } }
}
