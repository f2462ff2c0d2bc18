/**
 * What happens to an agent whose process has ended. Pure: the agent (`agent.ts`) carries the decision out.
 *
 * The rules are:
 * - Stopped on purpose: it stays stopped, with any exit code. A restart never undoes a budget stop or a block.
 * - Exit code 0: completed.
 * - A failure that the next life would repeat is not a crash: a program that cannot be loaded, input without a person,
 *   a call that we refused, and before the first call a missing key or the error of the life before.
 * - Anything else is a crash, followed by a restart, each time a little later but within five seconds.
 * - `max` crashes within `windowMs` are a crash loop.
 * - So are more than `withoutProgress` restarts in a row without progress (`progress.ts`), however far apart: the next
 *   life pays again for what such a life paid for. Only progress resets the count, not time.
 */
import { backoffMs } from '../core/backoff.ts'
import type { AgentState } from '../core/events.ts'

/** Who stopped an agent. */
export type StopReason = 'operator' | 'budget' | 'pii' | 'shutdown'

/** How a process ended: by exit code or signal; neither when it could not be started or did not end. */
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
  /** True when it did something that no life before it did. */
  progressed: boolean
  /** The error code of the refusal that ended its calls; undefined when the last call was not refused. */
  refusal: string | undefined
  /** The last error on stderr, without personal data. */
  lastError: string | undefined
  /** True when it has called a provider or a service. */
  called: boolean
  /** The variable with a key that its last error names and its environment lacks. */
  missingKey: string | undefined
}

export interface RestartSettings {
  enabled: boolean
  max: number
  windowMs: number
  withoutProgress: number
}

/** The facts about earlier lives for the next decision. */
export interface RestartHistory {
  /** Times of crashes, monotonic ms. */
  crashes: readonly number[]
  /** Lives since the last progress. */
  fruitless: number
  /** The last error of the life before, if that ended before its first call. */
  earlyError?: string | undefined
}

export const NO_HISTORY: RestartHistory = { crashes: [], fruitless: 0 }

export type FinalState = Extract<
  AgentState,
  'completed' | 'stopped' | 'failed' | 'crash_loop' | 'budget_stopped' | 'blocked'
>

export type Decision =
  /** `history`: argument for the next decision. */
  | { next: 'restart'; afterMs: number; history: RestartHistory; reason: string }
  | { next: 'end'; state: FinalState; reason: string }

/** Even large programs are loaded by then; a later error of this kind may concern text that the program evaluates. */
const LOADING_MS = 10_000
const CANNOT_IMPORT = /^(ModuleNotFoundError:|ImportError:|Error \[ERR_MODULE_NOT_FOUND\]:|Error: Cannot find module )/
const CANNOT_PARSE = /^(SyntaxError|IndentationError|TabError):/
/** Python's input() at the end of stdin, which "start" does not have. */
export const NO_INPUT = /^EOFError: EOF when reading a line$/
/** Leaves one of the five seconds for the start itself. */
const DELAY = { firstMs: 250, maxMs: 4_000 }

const STATE_AFTER_STOP = {
  operator: 'stopped',
  budget: 'budget_stopped',
  pii: 'blocked',
  shutdown: 'stopped',
} as const satisfies Record<StopReason, FinalState>

/** The stop reasons, for people. */
export const STOPPED_BY = {
  operator: 'the operator',
  budget: 'the budget',
  pii: 'personal data',
  shutdown: 'the end of the server',
} as const satisfies Record<StopReason, string>

/** `history`: as returned by the previous decision. */
export function restartPolicy(life: Life, history: RestartHistory, settings: RestartSettings): Decision {
  const how = describeExit(life)
  if (life.stoppedBy) {
    const reason = `stopped by ${STOPPED_BY[life.stoppedBy]}, ${how}`
    return { next: 'end', state: STATE_AFTER_STOP[life.stoppedBy], reason }
  }
  if (life.exitCode === 0) return { next: 'end', state: 'completed', reason: how }
  const repeats = whyItRepeats(life, history)
  if (repeats) return { next: 'end', state: 'failed', reason: how + repeats }
  if (!settings.enabled) return { next: 'end', state: 'failed', reason: `${how}; restarts are off` }
  return afterCrash(life, history, settings)
}

function afterCrash(life: Life, history: RestartHistory, settings: RestartSettings): Decision {
  const how = describeExit(life)
  // An agent that could not be started has paid for nothing.
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
  const afterMs = backoffMs(crashes.length, DELAY)
  return { next: 'restart', afterMs, history: { crashes, fruitless, earlyError: earlyErrorOf(life) }, reason: how }
}

/** Why the next life would end in the same way; undefined when it might not. */
function whyItRepeats(life: Life, { earlyError }: RestartHistory): string | undefined {
  const { exitCode, startedAt, endedAt, lastError = '', refusal, missingKey } = life
  const isUnloaded = CANNOT_IMPORT.test(lastError) || (CANNOT_PARSE.test(lastError) && endedAt - startedAt < LOADING_MS)
  if (exitCode === 1 && isUnloaded) return `: ${lastError}`
  if (NO_INPUT.test(lastError)) return `: ${lastError}`
  if (missingKey && isEarly(life)) {
    return `: ${missingKey} is not set; set it in the environment or with "iron-cage secrets set ${missingKey}"`
  }
  if (earlyError !== undefined && earlyError === earlyErrorOf(life))
    return `, twice before its first call: ${lastError}`
  return refusal && ` after its call was refused (${refusal})`
}

/** Silent crashes cannot be compared. */
const earlyErrorOf = (life: Life): string | undefined => (isEarly(life) && life.lastError ? life.lastError : undefined)

const isEarly = ({ called, progressed }: Life): boolean => !called && !progressed

/** "exit code 1", "ended by SIGKILL". */
export function describeExit({ exitCode, signal, fault }: Exit): string {
  if (fault) return `could not be started: ${fault}`
  if (signal) return `ended by ${signal}`
  return exitCode === null ? 'without an exit code' : `exit code ${exitCode}`
}
