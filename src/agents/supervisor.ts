/**
 * Agents: the programs that Iron Cage runs. This folder starts, watches and ends them, and records all of it as events.
 *
 *   supervisor.ts      all agents of this server: start, stop, pause, resume, restart; enforces budget and block
 *   agent.ts           one agent, run after run
 *   process.ts         one run's process: gate, watchdog, exact exit · process-tree.ts: all its descendants, to their end
 *   restart-policy.ts, exit-code.ts, environment.ts, agent-events.ts   decisions and messages; pure
 *   command.ts         which program runs a script · output.ts: bytes into lines · process-table.ts: the system's processes
 *
 * The rules are:
 * - Nothing runs before it could be refused: script, interpreter and folder are checked first.
 * - Nothing runs without a row in `runs`, a budget and a watchdog.
 * - An agent is not called stopped while the process table shows a member of its process tree; survivors are named.
 * - An agent reaches us by URL and run token like any client: this folder does not know the gateway.
 */
import { hash } from 'node:crypto'
import { basename, extname, isAbsolute } from 'node:path'
import type { Ledger } from '../budget/ledger.ts'
import type { AgentFolders } from '../config/agent-folders.ts'
import type { Config } from '../config/schema.ts'
import { type Clock, isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { RuntimeEvent } from '../core/events.ts'
import { type AgentId, newAgentId, type RunId } from '../core/ids.ts'
import { fromUsd, type Usd } from '../core/money.ts'
import { lockLimitOf, processStarted } from '../core/process-table.ts'
import type { Store } from '../db/store.ts'
import type { RunRow, RunTable } from '../db/tables/runs.ts'
import type { Safety } from '../redaction/safety.ts'
import { ProviderAddresses } from '../sandbox/bypass.ts'
import { type Cage, cageFor, launcherPython } from '../sandbox/cage.ts'
import type { AgentView } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'
import {
  Agent,
  type AgentFacts,
  type AgentParts,
  type RunProof,
  type RunTokenIssuer,
  type SecretSource,
} from './agent.ts'
import { exitedEvent, survivedEvent } from './agent-events.ts'
import type { OutputParts } from './agent-output.ts'
import { type AgentKind, chooseCommand, filesOfEnvironment, findTarget, requireFolder } from './command.ts'
import { type AgentEnvironment, agentEnvironment, inheritedEnvironment } from './environment.ts'
import type { AgentEnd } from './exit-code.ts'
import { Launchers } from './launchers.ts'
import { OutputPace } from './output-pace.ts'
import { ProcessTree } from './process-tree.ts'
import type { StopReason } from './restart-policy.ts'
import type { Descriptors } from './spawn.ts'

export interface SupervisorOptions {
  config: Config
  state: StateManager
  ledger: Ledger
  store: Store
  clock: Clock
  runTokens: RunTokenIssuer
  secrets: SecretSource
  /** The variables that hold provider keys. */
  providerKeyNames: ReadonlySet<string>
  /** The sinks of the agents' output; a line for which `redact` throws is withheld. */
  output: Pick<OutputParts, 'redact' | 'redactBeginning' | 'found' | 'log'>
  /** How agents are guarded; scrubs the script's path and the name derived from it. */
  safety: Pick<Safety, 'mode' | 'detect' | 'scrub'>
  /** The environment that iron-cage was started in. */
  parentEnvironment: Readonly<Record<string, string>>
  /** The server's address, e.g. "http://127.0.0.1:8080"; read when an agent starts. */
  serverUrl: () => string
  /** The variables by which an agent's programs trust this server. (Default: none do.) */
  trustVariables?: () => Promise<AgentEnvironment>
  /** The folder that holds our sitecustomize.py. */
  shimFolder: string
  /** The providers' addresses, by name. */
  providerUrls: Readonly<Record<string, string>>
  /** Absolute paths of the server's own files and folders, which are hidden from sandboxed agents. */
  serverFiles: readonly string[]
  /** Records folders before an agent may write to them. (Default: not recorded.) */
  agentFolders?: Pick<AgentFolders, 'open' | 'hide' | 'folders' | 'requireUntouched'>
}

/** An agent to be started; settings it leaves out come from `agent` in the configuration. */
export interface AgentSpec extends Partial<Config['agent']> {
  /** Path of the script, relative to where iron-cage was started; or the name of a module or program. */
  script: string
  /** What `script` names. (Default: a script.) */
  kind?: AgentKind | undefined
  /** For a program that serves an agent: the strategy that it is deployed with, and its own script. (Default: it is no deployment.) */
  deployment?: { strategy: string; script: string } | undefined
  /** Descriptors of this process that become its own. (Default: an empty stdin, and output that is recorded.) */
  descriptors?: Descriptors | undefined
  /** (Default: `budget.limit_usd`.) */
  limitUsd?: Usd | undefined
  /** The environment that it inherits. (Default: the one that iron-cage was started in.) */
  inherits?: Readonly<Record<string, string>> | undefined
}

export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #parts: AgentParts
  readonly #runs: RunTable
  /** In the order of their start. */
  readonly #agents = new Map<AgentId, Agent>()
  readonly #unsubscribe: () => void
  readonly #launchers = new Launchers()
  #isClosing = false

  constructor(options: SupervisorOptions) {
    const { config, state, ledger, store, clock, runTokens, secrets, output, safety } = options
    const providers = new ProviderAddresses(options.providerUrls, clock)
    this.#options = options
    this.#runs = store.runs
    this.#parts = {
      state,
      ledger,
      runs: this.#runs,
      checkpoints: store.checkpoints,
      clock,
      runTokens,
      secrets,
      output: { ...output, pace: new OutputPace(clock), maxBytes: config.log.max_agent_output_bytes },
      environmentFor: (...facts) => this.#environmentFor(...facts),
      cageFor: (facts, environment) => this.#cageFor(facts, environment),
      launchers: this.#launchers,
      prepareLauncher: (facts) => this.#prepare(facts),
      agentFolders: options.agentFolders,
      places: {
        isOwn: (target) => new URL(options.serverUrl()).host === target,
        providerAt: (target) => providers.providerAt(target),
      },
      guard: {
        // Read at each start: the policy may have been reloaded.
        get safety_mode() {
          return safety.mode
        },
        get detect() {
          return safety.detect
        },
        warn_at: config.budget.warn_at,
      },
    }
    this.#unsubscribe = state.subscribe((event) => this.#obey(event))
  }

  /** Does in advance what takes long about the start of this agent. Faults show when it starts. */
  prepare(spec: AgentSpec): void {
    try {
      this.#prepare(this.#factsOf(spec))
    } catch (error) {
      if (!(error instanceof CageError)) throw error
    }
  }

  #prepare({ command, cwd, settings, inherited }: AgentFacts): void {
    // A fault shows at the start.
    if (settings.egress) void this.#options.trustVariables?.().catch(() => {})
    if (settings.sandbox.level === 'off' || process.platform !== 'linux') return
    const environment = inheritedEnvironment(inherited, settings.env)
    const agentFolders = this.#options.agentFolders?.folders ?? []
    const program = launcherPython({ settings: settings.sandbox, command, cwd, environment, agentFolders })
    if (program !== undefined) this.#launchers.prepare({ program, cwd, environment })
  }

  /**
   * Starts an agent and resolves when it runs. Rejects with CageError `script_not_found`, `interpreter_not_found`,
   * `not_executable`, `invalid_config` or `sandbox_unavailable` before anything ran. `cage`: its rights in the sandbox.
   */
  async start(spec: AgentSpec): Promise<{ agentId: AgentId; cage: Cage }> {
    if (this.#isClosing) throw new CageError('conflict', 'the server is closing and starts no more agents')
    const { config, ledger } = this.#options
    const facts = this.#factsOf(spec)
    const agent = new Agent(facts, this.#parts)
    ledger.accounts.openAccount(facts.id, fromUsd(spec.limitUsd ?? config.budget.limit_usd))
    this.#agents.set(facts.id, agent)
    try {
      await agent.start()
    } catch (error) {
      this.#agents.delete(facts.id)
      throw error
    }
    return { agentId: facts.id, cage: this.#cageFor(facts, facts.inherited) }
  }

  /**
   * Ends an agent for good; resolves when the process table shows none of its processes. Does nothing when it has
   * ended.
   */
  async stop(agentId: AgentId, reason: StopReason = 'operator'): Promise<void> {
    await this.#get(agentId).stop(reason)
  }

  /** Sends a signal to an agent's processes; does nothing while it has none. */
  signal(agentId: AgentId, signal: NodeJS.Signals): void {
    this.#get(agentId).signal(signal)
  }

  /** Pauses an agent's processes. `by`: who paused it. Throws CageError `agent_not_running`. */
  pause(agentId: AgentId, by: string): void {
    this.#get(agentId).pause(by)
  }

  resume(agentId: AgentId, by: string): void {
    this.#get(agentId).resume(by)
  }

  /**
   * Restarts an agent, ending its current run first. Throws CageError `budget_exceeded` while its budget is spent and
   * was not raised.
   */
  async restart(agentId: AgentId): Promise<void> {
    const agent = this.#get(agentId)
    if (this.#options.state.read().agents[agentId]?.exhausted) {
      throw new CageError('budget_exceeded', `${agentId} has spent its budget`, { facts: { agent_id: agentId } })
    }
    await agent.restart()
  }

  /** Throws CageError `agent_not_running` for an agent of an earlier server, `not_found` for an unknown one. */
  requireOwn(agentId: AgentId): void {
    this.#get(agentId)
  }

  /** The agents of this server, in the order of their start. */
  list(): AgentView[] {
    const { agents } = this.#options.state.read()
    return [...this.#agents.keys()].flatMap((id) => agents[id] ?? [])
  }

  /** Resolves when an agent has ended for good. */
  whenEnded(agentId: AgentId): Promise<AgentEnd> {
    return this.#get(agentId).ended
  }

  /** True while an agent runs or waits for its restart. */
  get hasLive(): boolean {
    return this.#living !== undefined
  }

  /** Resolves when no agent runs or waits for its restart. */
  async whenAllEnded(): Promise<void> {
    for (let living = this.#living; living; living = this.#living) await living.ended
  }

  /** Ends all agents, the last started first, and starts no more. */
  async close(): Promise<void> {
    this.#isClosing = true
    for (const agent of [...this.#agents.values()].reverse()) await agent.stop('shutdown')
    await this.#launchers.close()
    this.#unsubscribe()
  }

  /**
   * Ends the processes that a killed server left running, identified by pid and start time, and on Linux by the agent's
   * id in the environment; never by pid alone. Call it before the first start, and only as the one server of this
   * database.
   */
  async endLeftovers(): Promise<void> {
    for (const run of this.#runs.findOpen()) await this.#endLeftover(run)
    // Agents that waited for a restart have no process, and nothing would restart them.
    for (const agent of Object.values(this.#options.state.read().agents)) {
      if (agent.state === 'starting') this.#recordLeftover(agent.id, agent.name, agent.run_id)
    }
  }

  async #endLeftover(run: RunRow): Promise<void> {
    const { agent_id: agentId, pid, pid_started } = run
    const started = pid_started ?? undefined
    const isStillOurs = started !== undefined && (await processStarted(pid)) === started
    const tree = new ProcessTree({ agentId, group: isStillOurs ? pid : undefined, started })
    const survivors = await tree.end(0, this.#options.clock)
    if (survivors.length > 0) {
      this.#options.state.record({ ...survivedEvent(run.name, 'shutdown', survivors), agent_id: agentId })
    }
    this.#recordLeftover(agentId, run.name, run.id)
  }

  #recordLeftover(agentId: AgentId, name: string, runId: RunId): void {
    const { state, clock } = this.#options
    const outcome = { state: 'failed', reason: 'the server exited before the agent' } as const
    const event = exitedEvent(name, runId, { exitCode: null, signal: null }, outcome)
    const end = { ended_at: isoTime(clock.now()), exit_code: null, signal: null }
    state.record({ ...event, agent_id: agentId }, () => this.#runs.end(runId, end))
  }

  /** Stops an agent for its budget or for personal data; must not throw into the event order. */
  #obey(event: RuntimeEvent): void {
    const agent = event.agent_id === null ? undefined : this.#agents.get(event.agent_id)
    if (!agent) return
    agent.see(event)
    if (event.type === 'budget.exhausted' && this.#options.config.budget.on_exhausted === 'stop') {
      void agent.stop('budget')
    }
    if (event.type === 'pii.found' && event.data.action === 'block') void agent.stop('pii')
  }

  #factsOf({
    script: named,
    kind = 'script',
    deployment,
    descriptors,
    limitUsd: _limit,
    inherits,
    ...chosen
  }: AgentSpec): AgentFacts {
    const { config, parentEnvironment, safety } = this.#options
    const settings = this.#withEgress({ ...config.agent, ...chosen })
    const inherited = inherits ?? parentEnvironment
    const cwd = requireFolder(settings.cwd ?? '.')
    const environment = { ...inherited, ...settings.env }
    const target = findTarget({ kind, name: named }, cwd, environment)
    const { path } = target
    const command = chooseCommand({ target, args: settings.args, python: settings.python, cwd, environment })
    const files = filesOfEnvironment(command.program)
    for (const file of files) this.#options.agentFolders?.requireUntouched(file)
    const name = settings.name ?? safety.scrub(kind === 'module' ? named : basename(path, extname(path)))
    // As a person would name it; a module is another one in another folder.
    const module = kind === 'module' ? `python -m ${named} in ${cwd}` : undefined
    const script = deployment?.script ?? (kind === 'script' ? path : (module ?? named))
    const shown = safety.scrub(script)
    return {
      id: newAgentId(deployment?.script ?? path),
      name,
      strategy: deployment?.strategy,
      script: shown,
      path,
      descriptors,
      // Paths that look alike without personal data may differ.
      owner: { name, script: shown === script ? script : `${shown} ${hash('sha256', script)}` },
      command,
      cwd,
      settings,
      inherited,
    }
  }

  /** At `strict` connections pass the gateway where there is one, so that services and providers are reached by name. */
  #withEgress(settings: Config['agent']): Config['agent'] {
    const isStrict = settings.sandbox.level === 'strict' && this.#options.trustVariables !== undefined
    if (!isStrict || settings.egress) return settings
    return { ...settings, egress: { allow: [], private: [], mode: 'enforce' } }
  }

  async #environmentFor(
    { id: agentId, settings, inherited }: AgentFacts,
    run: RunProof,
    secrets: AgentEnvironment,
  ): Promise<AgentEnvironment> {
    const { config, serverUrl, shimFolder, providerKeyNames, trustVariables } = this.#options
    return agentEnvironment({
      parent: inherited,
      added: settings.env,
      secrets,
      agentId,
      runToken: run.token,
      runAddress: run.address,
      serverUrl: serverUrl(),
      shimFolder,
      providerKeys: settings.provider_keys,
      providers: Object.keys(config.providers),
      telemetry: settings.telemetry,
      providerKeyNames,
      trust: settings.egress && { ...(await trustVariables?.()) },
    })
  }

  #cageFor({ id, command, cwd, path: script, settings }: AgentFacts, environment: AgentEnvironment): Cage {
    const { serverUrl, serverFiles, agentFolders } = this.#options
    return cageFor({
      settings: settings.sandbox,
      egress: settings.egress,
      command,
      script,
      cwd,
      environment,
      serverUrl: serverUrl(),
      serverFiles,
      lockLimit: lockLimitOf(id),
      agentFolders: agentFolders?.folders ?? [],
    })
  }

  get #living(): Agent | undefined {
    return [...this.#agents.values()].find(({ isLive }) => isLive)
  }

  #get(agentId: AgentId): Agent {
    const agent = this.#agents.get(agentId)
    if (agent) return agent
    const former = this.#options.state.read().agents[agentId]
    if (former) {
      throw new CageError('agent_not_running', `${agentId} belongs to an earlier run of the server`, {
        facts: { agent_id: agentId },
        // A client with its own token has no script.
        hint: isAbsolute(former.script)
          ? `start its script as a new agent: "iron-cage start ${former.script}"`
          : undefined,
      })
    }
    throw new CageError('not_found', `there is no agent ${agentId}`, { facts: { agent_id: agentId } })
  }
}
