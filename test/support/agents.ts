/**
 * Real agents for tests: a supervisor on a database of its own, tiny programs from `agents/programs/`, and a look at
 * the process table afterwards: a test that leaves a process behind fails.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterEach, expect } from 'vitest'
import type { RunTokens } from '../../src/agents/agent.ts'
import { findByAgentId } from '../../src/agents/process-table.ts'
import { type AgentSpec, Supervisor } from '../../src/agents/supervisor.ts'
import { Ledger } from '../../src/budget/ledger.ts'
import { systemClock } from '../../src/clock.ts'
import { type Config, configSchema } from '../../src/config/schema.ts'
import { type Database, openDatabase } from '../../src/db/database.ts'
import type { EventOf, EventType, RuntimeEvent } from '../../src/events.ts'
import type { AgentId } from '../../src/ids.ts'
import { StateManager } from '../../src/state/state-manager.ts'

const PROGRAMS = join(import.meta.dirname, '..', 'agents', 'programs')
const SHIM = join(import.meta.dirname, '..', '..', 'python', 'shim')

/** A real interpreter: version managers put a slow script in its place. */
export const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim()

export const program = (name: string): string => join(PROGRAMS, name)

export interface AgentsOptions {
  /** Settings of the configuration file. */
  config?: { agent?: object; budget?: object }
  redact?: (text: string, agentId: AgentId) => string
  /** An existing database, to see what is there after a restart. */
  database?: Database
  environment?: Record<string, string>
}

const opened: Agents[] = []

export function openAgents(options: AgentsOptions = {}): Agents {
  const agents = new Agents(options)
  opened.push(agents)
  return agents
}

export class Agents {
  readonly config: Config
  readonly database: Database
  readonly state: StateManager
  readonly ledger: Ledger
  readonly supervisor: Supervisor
  readonly tokens = new TokenList()
  readonly events: RuntimeEvent[] = []
  /** A folder of its own, where agents run. */
  readonly folder = mkdtempSync(join(tmpdir(), 'iron-cage-agents-'))
  readonly faults: string[] = []

  constructor({ config, redact = (text) => text, database, environment = {} }: AgentsOptions) {
    const agent = { python, cwd: this.folder, stop_grace_s: 1, ...config?.agent }
    this.config = configSchema.parse({ ...config, agent })
    this.database = database ?? openDatabase({ path: join(this.folder, 'state.db') })
    this.state = new StateManager({
      database: this.database,
      clock: systemClock,
      retentionDays: 7,
      onFault: (error, what) => this.faults.push(`${what}: ${error}`),
    })
    this.state.subscribe((event) => this.events.push(event))
    this.ledger = new Ledger({ database: this.database, state: this.state, clock: systemClock, warnAt: [0.9] })
    this.supervisor = new Supervisor({
      config: this.config,
      state: this.state,
      ledger: this.ledger,
      database: this.database,
      clock: systemClock,
      runTokens: this.tokens,
      redact,
      parentEnvironment: { PATH: process.env.PATH ?? '', HOME: this.folder, ...environment },
      serverUrl: () => 'http://127.0.0.1:8080',
      shimFolder: SHIM,
    })
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
    this.database.close()
    rmSync(this.folder, { recursive: true })
    for (const id of ids) {
      expect([...(await findByAgentId(id))], `processes of ${id}`).toEqual([])
      expect(await watchdogsOf(id), `watchdogs of ${id}`).toEqual([])
    }
    expect(this.tokens.valid, 'run tokens').toEqual([])
    expect(this.faults).toEqual([])
  }
}

afterEach(async () => {
  for (const agents of opened.splice(0)) await agents.close()
})

class TokenList implements RunTokens {
  valid: { token: string; runId: string; agentId: string; name: string }[] = []
  issue(run: { agentId: string; runId: string; name: string }): string {
    const token = `run_${run.runId}`
    this.valid.push({ token, ...run })
    return token
  }
  revoke(runId: string): void {
    this.valid = this.valid.filter((run) => run.runId !== runId)
  }
}

/** Waits until `found` finds nothing or ten seconds are over, and returns what it found last. */
export async function untilNone<T>(found: () => Promise<T[]>): Promise<T[]> {
  for (const deadline = Date.now() + 10_000; ; ) {
    const left = await found()
    if (left.length === 0 || Date.now() > deadline) return left
    await setTimeout(20)
  }
}

const watchdogsOf = (agentId: AgentId): Promise<string[]> =>
  untilNone(async () =>
    execFileSync('ps', ['-A', '-o', 'args='], { encoding: 'utf8' })
      .split('\n')
      .filter((line) => line.includes(agentId) && !line.includes('ps -A')),
  )
