/**
 * Iron Cage as a library: `openRuntime` opens in this process what `iron-cage serve` opens in its own. The exports here
 * are the public API; their types depend on no other package.
 */
import { VERSION } from './cli/output/version.ts'
import { AgentFolders } from './config/agent-folders.ts'
import { parseUsd } from './config/amount.ts'
import { loadConfig, type Setting } from './config/config.ts'
import { readEnvironment } from './config/env.ts'
import type { RuntimeEvent } from './core/events.ts'
import type { AgentId } from './core/ids.ts'
import { openParts } from './runtime.ts'
import type { Snapshot } from './state/snapshot.ts'
import { withPolicy } from './uplink/with-policy.ts'

export { CageError, type ErrorCode } from './core/errors.ts'
export type { RuntimeEvent } from './core/events.ts'
export type { AgentView, CircuitView, Snapshot } from './state/snapshot.ts'

export interface OpenOptions {
  /** The sections of iron-cage.yaml: `{ budget: { limit_usd: '5' }, server: { port: 0 } }`; overrides the file. */
  config?: Readonly<Record<string, Readonly<Record<string, unknown>>>>
  /** (Default: iron-cage.yaml or .toml in `cwd`, if there is one.) */
  configFile?: string
  /** The folder to search for the configuration. (Default: the working directory.) */
  cwd?: string
}

export interface Runtime {
  /** The server's URL, e.g. "http://localhost:8080". */
  readonly url: string
  /** The dashboard's URL with a new one-time code. */
  dashboardLink(): string
  /** Rejects with CageError `invalid_amount`, `script_not_found`, `interpreter_not_found` or `not_executable`. */
  startAgent(script: string, options?: AgentOptions): Promise<RunningAgent>
  /** Everything the dashboard shows, at this moment. */
  snapshot(): Snapshot
  /** Calls `listener` with every later event, in order. Returns an unsubscribe function. */
  subscribe(listener: (event: RuntimeEvent) => void): () => void
  /** Stops the agents, then the server, then everything else. Safe to call twice. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

export interface AgentOptions {
  /** (Default: the script's.) */
  name?: string
  /** (Default: none.) */
  args?: readonly string[]
  /** Hard limit in US dollars, as "5.00" or "$5.00". (Default: `budget.limit_usd`.) */
  limitUsd?: string
}

export interface RunningAgent {
  readonly id: string
  /** The final state: completed, stopped, budget_stopped, … */
  readonly ended: Promise<{ state: string; exitCode: number | null; signal: string | null }>
  stop(): Promise<void>
}

/**
 * Throws CageError `invalid_config`, `config_untrusted`, `already_running`, `port_taken` or `database_unusable`, and
 * closes its resources.
 */
export async function openRuntime({
  config = {},
  configFile,
  cwd = process.cwd(),
}: OpenOptions = {}): Promise<Runtime> {
  const env = readEnvironment()
  const loaded = withPolicy(loadConfig({ flags: givenSettings(config), configFile, env, cwd }))
  if (loaded.file !== null) new AgentFolders(env.variables.HOME).requireUntouched(loaded.file)
  const { state, supervisor, ...runtime } = await openParts({
    config: loaded.config,
    configFile: loaded.file,
    origins: loaded.origins,
    environment: env.variables,
    version: VERSION,
  })
  const close = () => runtime.close('its program closed it')
  return {
    url: runtime.url,
    dashboardLink: runtime.dashboardLink,
    snapshot: () => state.read(),
    subscribe: (listener) => state.subscribe(listener),
    close,
    [Symbol.asyncDispose]: close,
    async startAgent(script, { name, args, limitUsd } = {}) {
      const { agentId } = await supervisor.start({
        script,
        ...(name !== undefined && { name }),
        ...(args !== undefined && { args: [...args] }),
        ...(limitUsd !== undefined && { limitUsd: parseUsd(limitUsd, 'limitUsd') }),
      })
      return running(agentId)
    },
  }

  function running(agentId: AgentId): RunningAgent {
    return {
      id: agentId,
      ended: supervisor.whenEnded(agentId),
      stop: async () => void (await supervisor.stop(agentId, 'operator')),
    }
  }
}

const givenSettings = (config: NonNullable<OpenOptions['config']>): Setting[] =>
  Object.entries(config).flatMap(([section, values]) =>
    Object.entries(values).map(([name, value]) => ({ key: [section, name], value, origin: `${section}.${name}` })),
  )
