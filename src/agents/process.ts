/**
 * One process of an agent, from its spawn until the last member of its process tree (`process-tree.ts`) is gone.
 *
 * The rules are:
 * - **The gate.** A process starts as a shell that waits for a line on its stdin and only then becomes the agent by
 *   `exec`: same pid, same start time, exact exit code. So nothing of an agent runs before its row is written and its
 *   watchdog runs, and if the server is killed in between, the shell reads end of file and exits. The gate also ignores
 *   SIGUSR1, which exec inherits, and gives the agent its own pid: a process with another pid is a child. And it marks
 *   the agent and all its descendants by a limit that has no effect (`lockLimitOf`), which finds a daemon that has left
 *   group, session, parent and environment behind. A process that raises the limit again, which only root may, is not
 *   found.
 * - **The sandbox.** With one (`sandbox/cage.ts`) a launcher (`launchers.ts`) replaces that shell, gate included: the pid is
 *   that of its guard, which forwards signals and ends as the agent ends.
 * - **SIGUSR1** goes to the first process only, sent by `vault/rotation.ts` once that process has reported that it
 *   listens. The report may be outdated (exec may have replaced the program), so the system is asked too.
 * - **The watchdog.** A second, tiny shell in its own session holds the other end of a pipe of ours. However the server
 *   ends, `kill -9` included, that pipe closes and the watchdog kills the process tree. The road not taken is
 *   prctl(PR_SET_PDEATHSIG): not on macOS, only for the first process and not for its children; and `setpriv`, which
 *   sets it, is not installed everywhere.
 *
 * Cost of a start, medians on two cores: the gate nothing measurable (21.7 ms until an empty Python has ended, 23.3 ms
 * without), the watchdog 2–3 ms and a megabyte. From `Supervisor.start` to the first recorded line, with shim, rows and
 * events, it is 12 ms more than from a bare spawn to its first byte (65 ms and 53 ms on a busy machine).
 * A shell exports only variables with valid shell names: "a.b" does not reach the agent where sh is dash.
 */
import type { StdioOptions } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { Readable, type Writable } from 'node:stream'
import type { Clock } from '../core/clock.ts'
import type { SandboxView } from '../core/events.ts'
import type { AgentId } from '../core/ids.ts'
import { catchesSignal, lockLimitOf, processStarted } from '../core/process-table.ts'
import { type Cage, unavailable } from '../sandbox/cage.ts'
import { Reports, type Standing } from '../sandbox/reports.ts'
import type { Command } from './command.ts'
import type { AgentEnvironment } from './environment.ts'
import { Launchers } from './launchers.ts'
import { ProcessTree, sendSignal } from './process-tree.ts'
import type { Exit } from './restart-policy.ts'
import { type Descriptors, type Program, spawnProgram } from './spawn.ts'

const SHELL = '/bin/sh'
const GATE = `
trap '' USR1
ulimit -w "$1" 2>/dev/null || ulimit -x "$1" 2>/dev/null
shift
export IRON_CAGE_PID=$$
read -r IRON_CAGE_GATE || exit
unset IRON_CAGE_GATE
`
const BECOME = 'exec "$@" </dev/null'
/** Descriptor 4 is the stdin it is given. */
const BECOME_WITH_INPUT = 'exec "$@" <&4 4<&-'

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
  environment: AgentEnvironment
  agentId: AgentId
  /** (Default: an empty stdin, and output that is read.) */
  descriptors?: Descriptors | undefined
  /** Its sandbox. (Default: none.) */
  cage?: Cage | undefined
  /** Where its sandbox's launcher comes from, and `base`, the environment without what belongs to this run. (Default: new ones.) */
  launchers?: { own: Launchers; base: AgentEnvironment }
}

/**
 * The process waits at the gate until `release`; a sandbox is complete by then. Throws CageError `sandbox_unavailable`
 * when it cannot be built, `start_failed` when the system has no room for another process, `bad_request` when the
 * system rejects the arguments or environment.
 */
export async function spawnAgent(launch: Launch): Promise<AgentProcess> {
  const { agentId, cage } = launch
  const exit = Promise.withResolvers<Exit>()
  const child = await (cage?.launcher ? startLauncher(launch, cage.launcher) : startGate(launch))
  void child.exited.then(exit.resolve)
  const { pid } = child
  const reports = cage?.launcher ? new Reports(child.stdio[3] as Readable) : undefined
  try {
    const watchdog = await spawnWatchdog(pid, agentId)
    const started = await processStarted(pid)
    const walls = await sandboxOf(cage, reports)
    return new AgentProcess({ pid, started, exit, child, watchdog, agentId, ...walls, reports })
  } catch (error) {
    // The process at the gate reads end of file.
    for (const pipe of [child.stdin, child.stdout, child.stderr]) pipe?.destroy()
    reports?.close()
    throw error
  }
}

function startGate({ command, cwd, environment, agentId, descriptors: own }: Launch): Promise<Program> {
  const gate = GATE + (own ? BECOME_WITH_INPUT : BECOME)
  const args = ['-c', gate, 'sh', String(lockLimitOf(agentId)), command.program, ...command.args]
  const stdio: StdioOptions = own
    ? ['pipe', own.stdout, own.stderr, 'ignore', own.stdin]
    : ['pipe', 'pipe', 'pipe', 'ignore']
  return spawnProgram(SHELL, args, { cwd, env: environment, stdio })
}

function startLauncher(
  { cwd, environment, launchers, descriptors }: Launch,
  { program, words }: NonNullable<Cage['launcher']>,
): Promise<Program> {
  const { own, base } = launchers ?? { own: new Launchers(), base: environment }
  return own.start({ program, cwd, environment: base }, { words, environment, descriptors })
}

/** `standing` is undefined without a sandbox. */
async function sandboxOf(
  cage: Cage | undefined,
  reports: Reports | undefined,
): Promise<{ sandbox: SandboxView; standing: Standing | undefined }> {
  if (!reports) return { sandbox: { level: 'off', limited: false, why: cage?.why ?? null }, standing: undefined }
  const standing = await reports.standing.catch((error: Error) => {
    throw unavailable(cage!.level, error.message)
  })
  const { level, limited, hidden } = standing
  const isOpen = level === 'observe' && cage!.level === 'auto'
  const why = level !== 'observe' && !hidden ? withoutMounts(cage!) : isOpen ? 'no Landlock in this kernel' : cage!.why
  return { sandbox: { level, limited, why }, standing }
}

function withoutMounts({ hides: [file] }: Cage): string {
  return file === undefined
    ? 'no mount namespaces, so it can change programs that run later, such as those in .venv'
    : `no mount namespaces, so it can reach ${file}: choose another path with --db`
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
  child: { stdin: Writable; stdout: Readable | null; stderr: Readable | null; kill(signal: NodeJS.Signals): boolean }
  watchdog: Writable
  agentId: AgentId
  sandbox: SandboxView
  standing: Standing | undefined
  reports: Reports | undefined
}

export class AgentProcess {
  readonly pid: number
  /** Start time as reported by the system; undefined when the process died immediately. */
  readonly started: string | undefined
  /** Both are empty for an agent with descriptors of its own. */
  readonly stdout: Readable
  readonly stderr: Readable
  /** Its sandbox. */
  readonly sandbox: SandboxView
  /** True when the server's files are hidden from it. */
  readonly isServerHidden: boolean
  /** Proves the guard of its sandbox, which redirects its connections; undefined where none are. */
  readonly gatewayKey: string | undefined
  /** Reports of its attempts; undefined without a sandbox. */
  readonly reports: Reports | undefined
  /** The file that freezes its control group. */
  readonly #freezer: string | null
  readonly #gate: Writable
  readonly #kill: (signal: NodeJS.Signals) => boolean
  readonly #watchdog: Writable
  readonly #tree: ProcessTree
  readonly #exit: PromiseWithResolvers<Exit>
  #ending: Promise<number[]> | undefined
  #hasExited = false

  constructor({ pid, started, exit, child, watchdog, agentId, sandbox, standing, reports }: AgentProcessParts) {
    this.pid = pid
    this.started = started
    this.stdout = child.stdout ?? Readable.from([])
    this.stderr = child.stderr ?? Readable.from([])
    this.sandbox = sandbox
    this.reports = reports
    this.isServerHidden = standing?.hidden ?? false
    this.gatewayKey = standing?.gatewayKey
    this.#freezer = standing?.freezer ?? null
    this.#gate = child.stdin
    this.#kill = (signal) => child.kill(signal)
    this.#watchdog = watchdog
    this.#exit = exit
    void exit.promise.then(() => {
      this.#hasExited = true
    })
    this.#tree = new ProcessTree({ group: pid, started, agentId })
  }

  /** Lets the agent run. */
  release(): void {
    this.#gate.end('go\n')
  }

  /** Sends a signal to the process group. */
  signal(signal: NodeJS.Signals): void {
    sendSignal(-this.pid, signal)
  }

  /** Stops the process group, or its whole control group where it has one. */
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

  /** Sends SIGUSR1 to the first process, unless it is gone or the signal would kill it. */
  signalSecretsChanged(): void {
    if (catchesSignal(this.pid, 'SIGUSR1')) this.#kill('SIGUSR1')
  }

  /** Resolves when the first process has ended; its children may live until `end`. */
  get exited(): Promise<Exit> {
    return this.#exit.promise
  }

  /**
   * Ends the whole process tree, even after its first process has exited, and returns the pids that survived SIGKILL.
   * Repeated calls return the same promise.
   */
  end(graceMs: number, clock: Clock): Promise<number[]> {
    this.#ending ??= this.#end(graceMs, clock)
    return this.#ending
  }

  async #end(graceMs: number, clock: Clock): Promise<number[]> {
    // A frozen process handles no signal.
    this.#freeze('0')
    const survivors = await this.#tree.end(graceMs, clock, this.#hasExited)
    this.#watchdog.end('ended\n')
    // Stuck in the kernel: there is nothing more to wait for.
    if (survivors.includes(this.pid)) this.#exit.resolve({ exitCode: null, signal: null })
    return survivors
  }
}
