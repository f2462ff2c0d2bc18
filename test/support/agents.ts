/**
 * Real agents for tests: a supervisor on its own database, tiny programs from `agents/programs/`, and a look at the
 * process table afterwards: a test that leaves a process behind fails.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { expect, onTestFinished } from 'vitest'
import type { AgentSpec, Supervisor } from '../../src/agents/supervisor.ts'
import type { Ledger } from '../../src/budget/ledger.ts'
import type { EventOf, EventType, RuntimeEvent } from '../../src/core/events.ts'
import { type AgentId, toAgentId } from '../../src/core/ids.ts'
import { findByAgentId } from '../../src/core/process-table.ts'
import type { Store } from '../../src/db/store.ts'
import type { StateManager } from '../../src/state/state-manager.ts'
import { type AgentPartsOptions, agentParts } from './agent-parts.ts'

export type AgentsOptions = Omit<AgentPartsOptions, 'databasePath'>

/** Path of a program in `agents/programs/`. */
export const program = (name: string): string => join(import.meta.dirname, '..', 'agents', 'programs', name)

/** Agents in their own folder; with `folder` in that of a server that is gone, with its files. */
export function openAgents(options: AgentsOptions & { folder?: string } = {}): Agents {
  const agents = new Agents(options.folder ?? newFolder(), options)
  onTestFinished(() => agents.close())
  return agents
}

export const newFolder = (): string => mkdtempSync(join(tmpdir(), 'iron-cage-agents-'))

export class Agents {
  /** Where the agents run, and the database is. */
  readonly folder: string
  readonly store: Store
  readonly state: StateManager
  readonly ledger: Ledger
  readonly supervisor: Supervisor
  readonly tokens: ReturnType<typeof agentParts>['tokens']
  /** Lines that are in the log file alone. */
  readonly logged: string[]
  readonly #events: RuntimeEvent[] = []
  readonly #faults: string[]

  constructor(folder: string, options: AgentsOptions) {
    const parts = agentParts({ ...options, databasePath: join(folder, 'state.db') })
    this.folder = folder
    this.store = parts.store
    this.state = parts.state
    this.ledger = parts.ledger
    this.supervisor = parts.supervisor
    this.tokens = parts.tokens
    this.logged = parts.logged
    this.#faults = parts.faults
    this.state.subscribe((event) => this.#events.push(event))
  }

  /** Everything that happened since this was opened. */
  get events(): RuntimeEvent[] {
    this.state.read()
    return this.#events
  }

  async start(script: string, spec: Omit<AgentSpec, 'script'> = {}): Promise<AgentId> {
    const { agentId } = await this.supervisor.start({
      script: script.includes('/') ? script : program(script),
      ...spec,
    })
    return agentId
  }

  /** The first event of this type that fits, also one that has been already. */
  async event<T extends EventType>(type: T, fits: (event: EventOf<T>) => boolean = () => true): Promise<EventOf<T>> {
    const isIt = (event: RuntimeEvent): event is EventOf<T> => event.type === type && fits(event as EventOf<T>)
    const past = this.events.find(isIt)
    if (past) return past
    return new Promise((resolve) => {
      const unsubscribe = this.state.subscribe((event) => {
        if (!isIt(event)) return
        unsubscribe()
        resolve(event)
      })
    })
  }

  /** Resolves when the agent has printed this line. */
  async printed(text: string): Promise<void> {
    await this.event('agent.output', ({ data }) => data.text === text)
  }

  /** All that was printed, line by line. */
  lines(stream: 'stdout' | 'stderr' = 'stdout'): string[] {
    return this.events.flatMap((event) =>
      event.type === 'agent.output' && event.data.stream === stream ? [event.data.text] : [],
    )
  }

  count(type: EventType): number {
    return this.events.filter((event) => event.type === type).length
  }

  /** Ends everything and fails when a process is left. */
  async close(): Promise<void> {
    await this.supervisor.close()
    const ids = Object.keys(this.state.read().agents)
    this.state.close()
    this.store.close()
    rmSync(this.folder, { recursive: true })
    for (const id of ids) expect(await untilNone(() => processesOf(toAgentId(id))), `processes of ${id}`).toEqual([])
    expect(this.tokens.valid, 'run tokens').toEqual([])
    expect(this.#faults).toEqual([])
  }
}

/** Asks until nothing is found or a minute is over; returns the last findings. */
export async function untilNone<T>(find: () => Promise<T[]>): Promise<T[]> {
  for (const deadline = performance.now() + 60_000; ; ) {
    const found = await find()
    if (found.length === 0 || performance.now() > deadline) return found
    await setTimeout(20)
  }
}

/**
 * Resolves when a process that was just started ignores SIGUSR1 or has a use for it: the first thing that its gate does.
 * Only Linux lets us look.
 */
export async function untilUnharmedBySigusr1(pid: number): Promise<void> {
  if (process.platform !== 'linux') return
  const isUnharmed = () => {
    const masks = readFileSync(`/proc/${pid}/status`, 'utf8').matchAll(/^Sig(?:Ign|Cgt):\s*([0-9a-f]+)$/gm)
    return [...masks].some(([, mask]) => (BigInt(`0x${mask}`) >> BigInt(constants.signals.SIGUSR1 - 1)) & 1n)
  }
  expect(await untilNone(async () => (isUnharmed() ? [] : [pid]))).toEqual([])
}

/** Everything that carries an agent's id in its environment, and its watchdogs, which carry it as an argument. */
export async function processesOf(agentId: AgentId): Promise<string[]> {
  const members = [...(await findByAgentId(agentId))].map((pid) => `pid ${pid}`)
  return [...members, ...commandsWith(agentId)]
}

/** The command lines of this machine that contain `mark`. */
export const commandsWith = (mark: string): string[] =>
  execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' })
    .split('\n')
    .filter((command) => command.includes(mark))
