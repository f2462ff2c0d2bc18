/**
 * Launchers of sandboxes. One is started before it is needed: Python is loaded then, and the kernel has moved it to its
 * own control group, which takes most of the time that a sandbox adds to a start. It waits for its instructions on its
 * stdin and ends with it.
 *
 * The rules are:
 * - A spare launcher is started as a new one would be: same program, folder and environment, but for what belongs to a
 *   single run. Anything else is no spare for this agent, and a new launcher is started.
 * - It has seen no secret before it gets its instructions, and starts one agent.
 * - Its program may run outside a sandbox (`trusted-program.ts`), and variables of the C library are for the agent only.
 */
import type { Socket } from 'node:net'
import { launching, outside } from '../sandbox/cage.ts'
import type { AgentEnvironment } from './environment.ts'
import { type Descriptors, type Program, spawnProgram } from './spawn.ts'

/** Where and how a launcher runs before it knows its agent. */
export interface LauncherPlace {
  /** Path of a Python. */
  program: string
  cwd: string
  environment: AgentEnvironment
}

/** A launcher's task; `words` are its options and the agent's program. */
export interface Instructions {
  words: readonly string[]
  environment: AgentEnvironment
  /** (Default: an empty stdin, and output that is read.) */
  descriptors?: Descriptors | undefined
}

/** A pipe holds as much. Longer words go through the system, which knows its own limit. */
const MAX_INSTRUCTIONS = 60_000
/** As the launcher expects its pipes: instructions and gate, output, reports. */
const STDIO = ['pipe', 'pipe', 'pipe', 'pipe'] as const

export class Launchers {
  #spare: { key: string; launcher: Promise<Program | undefined> } | undefined
  #isClosed = false

  /** Starts a spare launcher for the next agent at this place, unless there is one. Faults show when it is needed. */
  prepare(place: LauncherPlace): void {
    const key = JSON.stringify(place)
    if (this.#isClosed || this.#spare?.key === key) return
    void this.#retire()
    const { program, cwd, environment } = place
    const { env } = outside(environment)
    const launcher = spawnProgram(program, [...launching(), '--wait'], { cwd, env, stdio: [...STDIO] })
      .then((child) => {
        setReferenced(child, false)
        void child.exited.then(() => {
          if (this.#spare === spare) this.#spare = undefined
        })
        return child
      })
      .catch(() => undefined)
    const spare = { key, launcher }
    this.#spare = spare
  }

  /** Resolves with a launcher that follows these instructions. Throws like `spawnProgram`. */
  async start(place: LauncherPlace, { words, environment, descriptors }: Instructions): Promise<Program> {
    const { program, cwd } = place
    if (descriptors) return startWith(descriptors, place, { words, environment })
    const instructions = JSON.stringify({ words, cwd, environment })
    const isPlain = instructions.length <= MAX_INSTRUCTIONS && !instructions.includes('\\u0000')
    const spare = isPlain && this.#spare?.key === JSON.stringify(place) ? await this.#take() : undefined
    if (spare) {
      setReferenced(spare, true)
      spare.stdin.write(`${Buffer.byteLength(instructions)}\n${instructions}`)
      return spare
    }
    const { env, options } = outside(environment)
    return spawnProgram(program, [...launching(), ...options, ...words], { cwd, env, stdio: [...STDIO] })
  }

  /** Ends the spare launcher; resolves when it has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#retire()
  }

  async #take(): Promise<Program | undefined> {
    const launcher = this.#spare?.launcher
    this.#spare = undefined
    const child = await launcher
    return child?.exitCode === null && child.signalCode === null ? child : undefined
  }

  async #retire(): Promise<void> {
    const child = await this.#take()
    child?.stdin.end()
    await child?.exited
  }
}

/** A spare launcher has pipes, so it takes no descriptors. */
function startWith(
  { stdin, stdout, stderr }: Descriptors,
  { program, cwd }: LauncherPlace,
  { words, environment }: Instructions,
): Promise<Program> {
  const { env, options } = outside(environment)
  const args = [...launching(), '--stdin-fd', '4', ...options, ...words]
  return spawnProgram(program, args, { cwd, env, stdio: ['pipe', stdout, stderr, 'pipe', stdin] })
}

/** A spare launcher is no reason for this process to stay. */
function setReferenced(child: Program, isReferenced: boolean): void {
  const change = isReferenced ? 'ref' : 'unref'
  child[change]()
  for (const pipe of child.stdio) (pipe as unknown as Socket)[change]()
}
