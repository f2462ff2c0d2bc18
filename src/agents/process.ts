/**
 * One process of an agent, from its spawn until the last member of its process tree (`process-tree.ts`) is gone.
 *
 * The rules are:
 * - **The gate.** A process starts as a shell that waits for a line on its stdin and only then becomes the agent by
 *   `exec`: same pid, same start time, exact exit code. So nothing of an agent runs before its row is written and its
 *   watchdog stands, and a server killed in between leaves a shell that reads end of file and goes. The gate also sets
 *   SIGUSR1 to be ignored, which exec inherits, and gives the agent its own pid: whoever has another one is a child.
 *   And it marks the agent and all its descendants by a limit that limits nothing (`lockLimitOf`): a daemon that has left
 *   group, session, parent and environment behind is found by it. One that raises it again, which only root may, is not.
 * - **Walls.** Where there are some (`sandbox/cage.ts`) their launcher stands in the place of that shell, gate included: the
 *   pid is that of its guard, which passes signals on and ends as the agent ends.
 * - **SIGUSR1** goes to the first process alone, asked for by `vault/rotation.ts` once that process has said that it
 *   listens. What it said may not hold any more (it may have become another program by exec): the system is asked too.
 * - **The watchdog.** A second, tiny shell in a session of its own holds the other end of a pipe of ours. However the
 *   server ends, `kill -9` included, that pipe closes and the watchdog kills the process tree. The road not taken is
 *   prctl(PR_SET_PDEATHSIG): not on macOS, only for the first process and not for its children; and `setpriv`, which
 *   sets it, is not installed everywhere.
 *
 * Cost of a start, medians on two cores: the gate nothing that can be measured (21.7 ms until an empty Python has ended,
 * 23.3 ms without), the watchdog 2–3 ms and a megabyte. From `Supervisor.start` to the first recorded line, with shim, rows and
 * events, it is 12 ms more than from a bare spawn to its first byte (65 ms and 53 ms on a busy machine).
 * A shell hands on only variables with a shell's names: one called "a.b" does not reach the agent where sh is dash.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import type { Readable, Writable } from 'node:stream'
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import type { SandboxView } from '../events.ts'
import type { AgentId } from '../ids.ts'
import { catchesSignal, lockLimitOf, processStarted } from '../process-table.ts'
import { type Cage, unavailable } from '../sandbox/cage.ts'
import { Reports, type Standing } from '../sandbox/reports.ts'
import type { Command } from './command.ts'
import type { Environment } from './environment.ts'
import { ProcessTree, sendSignal } from './process-tree.ts'
import type { Exit } from './restart-policy.ts'

const SHELL = '/bin/sh'
const GATE = `
trap '' USR1
ulimit -w "$1" 2>/dev/null || ulimit -x "$1" 2>/dev/null
shift
export IRON_CAGE_PID=$$
read -r IRON_CAGE_GATE || exit
unset IRON_CAGE_GATE
exec "$@" </dev/null`

/** A line means that the agent has ended, end of file that the server has. Two rounds, for what forks meanwhile. */
const WATCHDOG = `
read -r ENDED && exit
kill -s KILL -- "-$1"
for round in 1 2; do
  for file in $(grep -lsz "^IRON_CAGE_AGENT_ID=$2$" /proc/[0-9]*/environ; grep -ls "^Max file locks *$3 " /proc/[0-9]*/limits); do
    pid=\${file#/proc/}
    kill -s KILL "\${pid%/*}"
  done
done`

export interface Launch {
  command: Command
  /** An existing folder. */
  cwd: string
  environment: Environment
  agentId: AgentId
  /** The walls around it. (Default: none.) */
  cage?: Cage | undefined
}

/**
 * The process waits at the gate until `release`; behind walls they stand by then. Throws CageError `sandbox_unavailable`
 * when they cannot be built, `start_failed` when the system has no room for another
 * process, `bad_request` when it takes no such arguments or environment.
 */
export async function spawnAgent({ command, cwd, environment, agentId, cage }: Launch): Promise<AgentProcess> {
  const exit = Promise.withResolvers<Exit>()
  const gate = {
    program: SHELL,
    args: ['-c', GATE, 'sh', String(lockLimitOf(agentId)), command.program, ...command.args],
  }
  const { program, args } = cage?.launcher ?? gate
  const child = await spawnProgram(
    program,
    args,
    { cwd, env: environment, stdio: ['pipe', 'pipe', 'pipe', cage?.launcher ? 'pipe' : 'ignore'] },
    (exitCode, signal) => exit.resolve({ exitCode, signal }),
  )
  const pid = child.pid!
  const reports = cage?.launcher ? new Reports(child.stdio[3] as Readable) : undefined
  try {
    const watchdog = await spawnWatchdog(pid, agentId)
    const started = await processStarted(pid)
    const walls = await sandboxOf(cage, reports)
    return new AgentProcess({ pid, started, exit, child, watchdog, agentId, ...walls, reports })
  } catch (error) {
    // Whoever is at the gate reads its end.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe.destroy()
    reports?.close()
    throw error
  }
}

/** `standing` is undefined without walls. */
async function sandboxOf(
  cage: Cage | undefined,
  reports: Reports | undefined,
): Promise<{ sandbox: SandboxView; standing: Standing | undefined }> {
  if (!reports) return { sandbox: { level: 'off', limited: false, why: cage?.why ?? null }, standing: undefined }
  const standing = await reports.standing.catch((error: Error) => {
    throw unavailable(cage!.level, error.message)
  })
  const { level, limited, hidden } = standing
  const why =
    level !== 'observe' && !hidden && cage!.hides.length > 0
      ? `no mount namespaces, so it can reach ${cage!.hides[0]}: choose another place with --db`
      : level === 'observe' && cage!.level === 'auto'
        ? 'no Landlock in this kernel'
        : null
  return { sandbox: { level, limited, why }, standing }
}

/** `stdout` and `stderr` are there when they were asked for. */
type Shell = ChildProcess & { stdin: Writable; stdout: Readable; stderr: Readable }

/** Resolves with the child when it runs. Throws as `spawnAgent` does. */
async function spawnProgram(
  program: string,
  args: readonly string[],
  options: SpawnOptions,
  onExit: (exitCode: number | null, signal: NodeJS.Signals | null) => void = () => {},
): Promise<Shell> {
  try {
    const child = spawn(program, args, { ...options, detached: true })
    const spawned = once(child, 'spawn')
    // One that was not spawned has no pipes, and emits an error that ends this program when nobody listens.
    child.on('error', () => {})
    child.once('exit', onExit)
    // A process that died at once has closed it; its exit says so.
    child.stdin?.on('error', () => {})
    await spawned
    return child as Shell
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
  E2BIG: 'its arguments and its environment are too large together, or one of them is',
  ERR_INVALID_ARG_VALUE: 'an argument or a variable of its environment holds a NUL character',
}

/** Not with the system's own message, which may quote the value of a variable. */
function cannotStart(cause: NodeJS.ErrnoException): CageError {
  const { code = 'unknown' } = cause
  const refused = TAKEN_BY_NONE[code]
  const fault = `${refused ?? SHORTAGES[code] ?? 'the system refuses another process'} (${code})`
  return new CageError(refused ? 'bad_request' : 'start_failed', `the agent cannot be started: ${fault}`, {
    facts: { fault },
    hint: refused && 'look at its arguments, at agent.env and at the secrets of its environment',
    cause,
  })
}

async function spawnWatchdog(pid: number, agentId: AgentId): Promise<Writable> {
  const { stdin } = await spawnProgram(
    SHELL,
    ['-c', WATCHDOG, 'sh', String(pid), agentId, String(lockLimitOf(agentId))],
    {
      env: { PATH: '/usr/local/bin:/usr/bin:/bin' },
      cwd: '/',
      stdio: ['pipe', 'ignore', 'ignore'],
    },
  )
  return stdin
}

interface AgentProcessParts {
  pid: number
  started: string | undefined
  exit: PromiseWithResolvers<Exit>
  child: { stdin: Writable; stdout: Readable; stderr: Readable; kill(signal: NodeJS.Signals): boolean }
  watchdog: Writable
  agentId: AgentId
  sandbox: SandboxView
  standing: Standing | undefined
  reports: Reports | undefined
}

export class AgentProcess {
  readonly pid: number
  /** Start time as the system reports it; undefined when the process died at once. */
  readonly started: string | undefined
  readonly stdout: Readable
  readonly stderr: Readable
  /** The walls around it. */
  readonly sandbox: SandboxView
  /** The server's files are hidden from it. */
  readonly isServerHidden: boolean
  /** What it tries at them; undefined without walls. */
  readonly reports: Reports | undefined
  /** The file that stops its control group. */
  readonly #freezer: string | null
  readonly #gate: Writable
  readonly #kill: (signal: NodeJS.Signals) => boolean
  readonly #watchdog: Writable
  readonly #tree: ProcessTree
  readonly #exit: PromiseWithResolvers<Exit>
  #ending: Promise<number[]> | undefined

  constructor({ pid, started, exit, child, watchdog, agentId, sandbox, standing, reports }: AgentProcessParts) {
    this.pid = pid
    this.started = started
    this.stdout = child.stdout
    this.stderr = child.stderr
    this.sandbox = sandbox
    this.reports = reports
    this.isServerHidden = standing?.hidden ?? false
    this.#freezer = standing?.freezer ?? null
    this.#gate = child.stdin
    this.#kill = (signal) => child.kill(signal)
    this.#watchdog = watchdog
    this.#exit = exit
    this.#tree = new ProcessTree({ group: pid, started, agentId })
  }

  /** Lets the agent run. */
  release(): void {
    this.#gate.end('go\n')
  }

  /** Stops the process group where it is, and the whole family where it has a control group. */
  pause(): void {
    sendSignal(-this.pid, 'SIGSTOP')
    this.#freeze('1')
  }

  resume(): void {
    this.#freeze('0')
    sendSignal(-this.pid, 'SIGCONT')
  }

  #freeze(state: '0' | '1'): void {
    try {
      if (this.#freezer !== null) writeFileSync(this.#freezer, state)
    } catch {
      // The group ended with the agent.
    }
  }

  /** Sends SIGUSR1 to the first process, unless it is gone or would die of it. */
  tellSecretsChanged(): void {
    if (catchesSignal(this.pid, 'SIGUSR1')) this.#kill('SIGUSR1')
  }

  /** When the first process has ended; its children may still live until `end`. */
  get exited(): Promise<Exit> {
    return this.#exit.promise
  }

  /**
   * Ends the whole process tree, also one whose first process has exited, and returns the pids that survived even SIGKILL.
   * Asked again, it answers the same.
   */
  end(graceMs: number, clock: Clock): Promise<number[]> {
    this.#ending ??= this.#end(graceMs, clock)
    return this.#ending
  }

  async #end(graceMs: number, clock: Clock): Promise<number[]> {
    // What is frozen takes no SIGTERM.
    this.#freeze('0')
    const survivors = await this.#tree.end(graceMs, clock)
    this.#watchdog.end('ended\n')
    // Stuck inside the system: nobody can wait for it any longer.
    if (survivors.includes(this.pid)) this.#exit.resolve({ exitCode: null, signal: null })
    return survivors
  }
}
