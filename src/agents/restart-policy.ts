/**
 * What becomes of an agent whose process has ended. Pure: the agent (`agent.ts`) does what is decided here.
 *
 * The rules are:
 * - Told to stop: it stays stopped, whatever its exit code. A budget or a block is never undone by a restart.
 * - Exit code 0: completed.
 * - A program that Python cannot even load ends: another start would end the same way.
 * - Anything else is a crash and it runs again, a little later each time, but never later than five seconds.
 * - `max` crashes within `windowMs` are a crash loop. A minute of health forgives the crashes before it.
 */
import type { AgentState } from '../events.ts'

/** Who told an agent to stop. */
export type StopReason = 'operator' | 'budget' | 'pii' | 'shutdown'

/** How a process ended: by a code or by a signal. Neither when it could not be started or would not end. */
export interface Exit {
  exitCode: number | null
  signal: NodeJS.Signals | null
  /** Why it could not be started. */
  fault?: string
  /** The last line that it wrote on stderr, as people may see it. */
  lastWords?: string
}

export interface Life extends Exit {
  /** Monotonic times in ms. */
  startedAt: number
  endedAt: number
  stoppedBy: StopReason | null
}

export interface RestartSettings {
  enabled: boolean
  max: number
  windowMs: number
}

export type FinalState = Extract<
  AgentState,
  'completed' | 'stopped' | 'failed' | 'crash_loop' | 'budget_stopped' | 'blocked'
>

export type Decision =
  /** `crashes`: the history to hand in with the next life. */
  | { next: 'restart'; afterMs: number; crashes: readonly number[]; reason: string }
  | { next: 'end'; state: FinalState; reason: string }

const HEALTHY_MS = 60_000
/** A program of many modules is loaded by then. */
const LOADING_MS = 10_000
const CANNOT_LOAD = /^(SyntaxError|IndentationError|TabError|ModuleNotFoundError|ImportError)\b/
const FIRST_DELAY_MS = 250
/** Leaves a second of the five for the start itself. */
const LONGEST_DELAY_MS = 4_000

const STATE_AFTER_STOP = {
  operator: 'stopped',
  budget: 'budget_stopped',
  pii: 'blocked',
  shutdown: 'stopped',
} as const satisfies Record<StopReason, FinalState>

/** The stop reasons as people read them. */
export const STOPPED_BY = {
  operator: 'the operator',
  budget: 'the budget',
  pii: 'personal data',
  shutdown: 'the end of the server',
} as const satisfies Record<StopReason, string>

/** `crashes`: when earlier runs of this agent crashed, monotonic ms, as the last decision returned them. */
export function restartPolicy(life: Life, crashes: readonly number[], settings: RestartSettings): Decision {
  const how = describeExit(life)
  if (life.stoppedBy) {
    const reason = `stopped by ${STOPPED_BY[life.stoppedBy]}, ${how}`
    return { next: 'end', state: STATE_AFTER_STOP[life.stoppedBy], reason }
  }
  if (life.exitCode === 0) return { next: 'end', state: 'completed', reason: how }
  const broken = whyBroken(life)
  if (broken) return { next: 'end', state: 'failed', reason: `${how}: ${broken}` }
  if (!settings.enabled) return { next: 'end', state: 'failed', reason: `${how}; restarts are off` }

  const forgiven = life.endedAt - life.startedAt >= HEALTHY_MS
  const recent = [...(forgiven ? [] : crashes), life.endedAt].filter((at) => life.endedAt - at < settings.windowMs)
  if (recent.length >= settings.max) {
    const seconds = Math.round(settings.windowMs / 1000)
    return { next: 'end', state: 'crash_loop', reason: `${how}; ${recent.length} crashes within ${seconds} s` }
  }
  const afterMs = Math.min(FIRST_DELAY_MS * 2 ** (recent.length - 1), LONGEST_DELAY_MS)
  return { next: 'restart', afterMs, crashes: recent, reason: how }
}

/** What Python said of a program that it cannot load. */
const whyBroken = ({ exitCode, startedAt, endedAt, lastWords = '' }: Life): string | undefined =>
  exitCode === 1 && endedAt - startedAt < LOADING_MS && CANNOT_LOAD.test(lastWords) ? lastWords : undefined

/** "exit code 1", "ended by SIGKILL". */
export function describeExit({ exitCode, signal, fault }: Exit): string {
  if (fault) return `could not be started: ${fault}`
  if (signal) return `ended by ${signal}`
  return exitCode === null ? 'without an exit code' : `exit code ${exitCode}`
}
