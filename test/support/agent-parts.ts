import { execFileSync } from 'node:child_process'
import { dirname, join } from 'node:path'
import type { RunTokenIssuer } from '../../src/agents/agent.ts'
import { Supervisor } from '../../src/agents/supervisor.ts'
import { Ledger } from '../../src/budget/ledger.ts'
import type { AgentFolders } from '../../src/config/agent-folders.ts'
import { configSchema } from '../../src/config/schema.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { AgentId, RunId } from '../../src/core/ids.ts'
import { openStore } from '../../src/db/store.ts'
import { Safety } from '../../src/redaction/safety.ts'
import { StateManager } from '../../src/state/state-manager.ts'

/** A real interpreter: version managers put a slow script in its place. */
export const python = execFileSync('python3', ['-c', 'import sys; print(sys.executable)'], { encoding: 'utf8' }).trim()

export interface AgentPartsOptions {
  databasePath: string
  /** Settings of the configuration file. */
  config?: { agent?: object; budget?: object; log?: object }
  redact?: (text: string) => string
  /** The shell's variables besides PATH. */
  environment?: Record<string, string>
  providerUrls?: Record<string, string>
  serverFiles?: string[]
  /** Where the folders of agents are recorded. (Default: nowhere.) */
  agentFolders?: AgentFolders
}

/** Settings of agents that run in the database's folder. */
export const agentSettings = (databasePath: string) => ({
  python,
  // Walls have tests of their own; with TEST_SANDBOX these run behind some.
  sandbox: { level: process.env.TEST_SANDBOX ?? 'off' },
  cwd: dirname(databasePath),
  // Long, so that a slow agent is not killed; one that never obeys is given less.
  stop_grace_s: 60,
})

/** A supervisor and its dependencies, all real. Agents run in the database's folder. */
export function agentParts({ databasePath, config, redact = (text) => text, environment, ...more }: AgentPartsOptions) {
  const checked = configSchema.parse({ ...config, agent: { ...agentSettings(databasePath), ...config?.agent } })
  const store = openStore({ path: databasePath })
  const clock = systemClock
  const faults: string[] = []
  /** Lines for the log file alone. */
  const logged: string[] = []
  const onFault = (error: unknown, what: string) => faults.push(`${what}: ${error}`)
  const state = new StateManager({ store, clock, retentionDays: 7, onFault })
  const ledger = new Ledger({ store, state, clock, warnAt: [0.9] })
  const tokens = new TokenList()
  const supervisor = new Supervisor({
    config: checked,
    state,
    ledger,
    store,
    clock,
    runTokens: tokens,
    secrets: { forStart: async () => ({}), began: () => undefined, ended: () => undefined },
    providerKeyNames: new Set(),
    safety: new Safety(checked.safety),
    output: {
      redact: (text) => ({ text: redact(text), findings: [] }),
      redactBeginning: redact,
      found: () => {},
      log: (text) => logged.push(text),
    },
    parentEnvironment: { PATH: process.env.PATH ?? '', ...environment },
    serverUrl: () => 'http://127.0.0.1:8080',
    providerUrls: more.providerUrls ?? {},
    serverFiles: more.serverFiles ?? [],
    ...(more.agentFolders && { agentFolders: more.agentFolders }),
    shimFolder: join(import.meta.dirname, '..', '..', 'python', 'shim'),
  })
  return { store, state, ledger, tokens, supervisor, faults, logged }
}

/** Run tokens that can be distinguished and counted. */
class TokenList implements RunTokenIssuer {
  valid: { agentId: AgentId; runId: RunId; name: string }[] = []
  issue(run: { agentId: AgentId; runId: RunId; name: string }): string {
    this.valid.push(run)
    return `run_${run.runId}`
  }
  bind(): void {}
  addressOf(runId: RunId): string {
    return runId
  }
  revoke(runId: RunId): void {
    this.valid = this.valid.filter((run) => run.runId !== runId)
  }
}
