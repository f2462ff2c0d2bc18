/** Starts a program of the system, and translates its errors. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable, Writable } from 'node:stream'
import { CageError } from '../core/errors.ts'
import type { Exit } from './restart-policy.ts'

/** Descriptors of this process that become an agent's own. */
export interface Descriptors {
  stdin: number
  stdout: number
  stderr: number
}

/** `stdin` is always a pipe; `stdout` and `stderr` are null when they are descriptors of this process. */
export interface Program extends ChildProcess {
  stdin: Writable
  stdout: Readable | null
  stderr: Readable | null
  pid: number
  /** Resolves when it has ended. */
  exited: Promise<Exit>
}

/** Resolves with a program that runs, in a new session. Throws CageError `start_failed` or `bad_request`. */
export async function spawnProgram(program: string, args: readonly string[], options: SpawnOptions): Promise<Program> {
  try {
    const child = spawn(program, args, { ...options, detached: true })
    const spawned = once(child, 'spawn')
    // A child that was not spawned has no pipes and emits an error, which is fatal without a listener.
    child.on('error', () => {})
    const exited = new Promise<Exit>((resolve) => {
      child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }))
    })
    // A process that died immediately has closed it; its exit is reported.
    child.stdin?.on('error', () => {})
    await spawned
    return Object.assign(child, { exited }) as Program
  } catch (error) {
    throw cannotStart(error as NodeJS.ErrnoException)
  }
}

const SHORTAGES: Readonly<Record<string, string>> = {
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in the whole system',
  EAGAIN: 'too many processes',
  ENOMEM: 'not enough memory',
}
const TAKEN_BY_NONE: Readonly<Record<string, string>> = {
  E2BIG: 'its arguments and environment are too large',
  ERR_INVALID_ARG_VALUE: 'an argument or an environment variable holds a NUL character',
}

/** Without the system's own message, which may quote the value of a variable. */
function cannotStart(cause: NodeJS.ErrnoException): CageError {
  const { code = 'unknown' } = cause
  const refused = TAKEN_BY_NONE[code]
  const fault = `${refused ?? SHORTAGES[code] ?? 'the system refuses another process'} (${code})`
  return new CageError(refused ? 'bad_request' : 'start_failed', `the agent cannot be started: ${fault}`, {
    facts: { fault },
    hint: refused && 'check its arguments, agent.env and the secrets of its environment',
    cause,
  })
}
