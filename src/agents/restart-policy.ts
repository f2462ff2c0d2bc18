/**
 * What becomes of an agent whose process has ended. Pure: the agent (`agent.ts`) does what is decided here.
 *
 * The rules are:
 * - Stopped on purpose: it stays stopped, whatever its exit code. A budget or a block is never undone by a restart.
 * - Exit code 0: completed.
 * - What the next life would meet as well is no crash: a program that cannot be loaded, a call that we refused.
 * - Anything else is a crash and it runs again, a little later each time, but never later than five seconds.
 * - `max` crashes within `windowMs` are a crash loop.
 * - So are more than `withoutProgress` restarts in a row after which nothing new was done (`progress.ts`), however far
 *   apart: whatever such a life paid for is paid again by the next one. Only progress forgives, no time does.
 */
import type { AgentState } from '../events.ts'

/** Who had an agent stopped. */
export type StopReason = 'operator' | 'budget' | 'pii' | 'shutdown'

/** How a process ended: by a code or by a signal. Neither when it could not be started or would not end. */
export interface Exit {
  exitCode: number | null
  signal: NodeJS.Signals | null
  /** Why it could not be started. */
  fault?: string
}

export interface Life extends Exit {
  /** Monotonic times in ms. */
  startedAt: number
  endedAt: number
  stoppedBy: StopReason | null
  /** It did what no life before it did. */
  progressed: boolean
  /** The code of the refusal that was the last answer to its calls; undefined when that was none. */
  refusal: string | undefined
  /** The error that it wrote last on stderr, as people may see it. */
  lastError: string | undefined
}

export interface RestartSettings {
  enabled: boolean
  max: number
  windowMs: number
  withoutProgress: number
}

/** What earlier lives leave to the next decision. */
export interface RestartHistory {
  /** When they crashed, monotonic ms. */
  crashes: readonly number[]
  /** The lives since the last progress. */
  fruitless: number
}

export const NO_HISTORY: RestartHistory = { crashes: [], fruitless: 0 }

export type FinalState = Extract<
  AgentState,
  'completed' | 'stopped' | 'failed' | 'crash_loop' | 'budget_stopped' | 'blocked'
>

export type Decision =
  /** `history`: to be handed in with the next life. */
  | { next: 'restart'; afterMs: number; history: RestartHistory; reason: string }
  | { next: 'end'; state: FinalState; reason: string }

/** A program of many modules is loaded by then; later such an error may be about a text that it was to run. */
const LOADING_MS = 10_000
const CANNOT_IMPORT = /^(ModuleNotFoundError:|ImportError:|Error \[ERR_MODULE_NOT_FOUND\]:|Error: Cannot find module )/
const CANNOT_PARSE = /^(SyntaxError|IndentationError|TabError):/
const FIRST_DELAY_MS = 250
/** Leaves a second of the five for the start itself. */
const MAX_DELAY_MS = 4_000

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

/** `history`: as the decision about the life before returned it. */
export function restartPolicy(life: Life, history: RestartHistory, settings: RestartSettings): Decision {
  const how = describeExit(life)
  if (life.stoppedBy) {
    const reason = `stopped by ${STOPPED_BY[life.stoppedBy]}, ${how}`
    return { next: 'end', state: STATE_AFTER_STOP[life.stoppedBy], reason }
  }
  if (life.exitCode === 0) return { next: 'end', state: 'completed', reason: how }
  const repeats = whyItRepeats(life)
  if (repeats) return { next: 'end', state: 'failed', reason: how + repeats }
  if (!settings.enabled) return { next: 'end', state: 'failed', reason: `${how}; restarts are off` }
  return afterCrash(life, history, settings)
}

function afterCrash(life: Life, history: RestartHistory, settings: RestartSettings): Decision {
  const how = describeExit(life)
  // One that could not be started has paid for nothing.
  const fruitless = life.progressed ? 0 : history.fruitless + (life.fault ? 0 : 1)
  if (fruitless > settings.withoutProgress) {
    const lives = fruitless === 1 ? 'a life' : `${fruitless} lives`
    return { next: 'end', state: 'crash_loop', reason: `${how}; ${lives} without progress` }
  }
  const crashes = [...history.crashes, life.endedAt].filter((at) => life.endedAt - at < settings.windowMs)
  if (crashes.length >= settings.max) {
    const seconds = Math.round(settings.windowMs / 1000)
    return { next: 'end', state: 'crash_loop', reason: `${how}; ${crashes.length} crashes within ${seconds} s` }
  }
  const afterMs = Math.min(FIRST_DELAY_MS * 2 ** (crashes.length - 1), MAX_DELAY_MS)
  return { next: 'restart', afterMs, history: { crashes, fruitless }, reason: how }
}

/** Why the next life would end as this one did; undefined when it may not. */
function whyItRepeats({ exitCode, startedAt, endedAt, lastError = '', refusal }: Life): string | undefined {
  const isUnloaded = CANNOT_IMPORT.test(lastError) || (CANNOT_PARSE.test(lastError) && endedAt - startedAt < LOADING_MS)
  if (exitCode === 1 && isUnloaded) return `: ${lastError}`
  return refusal && ` after its call was refused (${refusal})`
}

/** "exit code 1", "ended by SIGKILL". */
export function describeExit({ exitCode, signal, fault }: Exit): string {
  if (fault) return `could not be started: ${fault}`
  if (signal) return `ended by ${signal}`
  return exitCode === null ? 'without an exit code' : `exit code ${exitCode}`
}
