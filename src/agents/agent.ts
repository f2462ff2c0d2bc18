/**
 * One agent: a program that is run, watched, and restarted for as long as the restart policy allows. Each life of its
 * process is a run with its own run token; the agent's id and budget stay the same across runs.
 */

import { basename } from 'node:path'
import type { Ledger } from '../budget/ledger.ts'
import type { AgentFolders } from '../config/agent-folders.ts'
import type { Config } from '../config/schema.ts'
import { type Clock, isoTime } from '../core/clock.ts'
import { asCageError, CageError, type ErrorCode } from '../core/errors.ts'
import type { EventData, EventType, NewEvent, RuntimeEvent } from '../core/events.ts'
import { type AgentId, newRunId, type RunId } from '../core/ids.ts'
import { toUsd } from '../core/money.ts'
import type { CheckpointOwner, CheckpointTable } from '../db/tables/checkpoints.ts'
import type { RunTable } from '../db/tables/runs.ts'
import { type Cage, unavailable } from '../sandbox/cage.ts'
import type { Attempt, Reports } from '../sandbox/reports.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Rotation } from '../vault/rotation.ts'
import {
  attemptEvent,
  bypassedEvent,
  type ExitOutcome,
  exitedEvent,
  plantedEvent,
  startedEvent,
  stoppedEvent,
  survivedEvent,
} from './agent-events.ts'
import { AgentOutput, type OutputParts } from './agent-output.ts'
import type { Command } from './command.ts'
import { type AgentEnvironment, inheritedEnvironment } from './environment.ts'
import type { AgentEnd } from './exit-code.ts'
import type { Launchers } from './launchers.ts'
import type { Reading } from './output.ts'
import { type AgentProcess, type Launch, spawnAgent } from './process.ts'
import { ProgressWatch } from './progress.ts'
import {
  type Decision,
  type Exit,
  type FinalState,
  type Life,
  NO_HISTORY,
  NO_INPUT,
  type RestartHistory,
  restartPolicy,
  type StopReason,
} from './restart-policy.ts'
import type { Descriptors } from './spawn.ts'

/** The run that a token identifies. */
export interface IssuedRun extends CheckpointOwner {
  agentId: AgentId
  runId: RunId
  /** The hosts that it reaches besides providers and services. */
  egress: Config['agent']['egress']
  /** Called with each of our errors that a call of the run is refused with. */
  onRefused: (error: CageError) => void
}

/** Issues the token that identifies an agent at the gateway and binds it to the run's processes. */
export interface RunTokenIssuer {
  issue(run: IssuedRun): string
  bind(runId: RunId, process: { agentId: AgentId; pid: number; started: string | undefined }, gatewayKey?: string): void
  /** The part of gateway addresses that identifies the run. */
  addressOf(runId: RunId, token: string): string
  revoke(runId: RunId): void
}

/** What identifies an agent's clients. */
export interface RunProof {
  token: string
  /** The part of gateway addresses that identifies the run. */
  address: string
}

/** The secrets of an agent's environment (`vault/rotation.ts`). */
export type SecretSource = Pick<Rotation, 'forStart' | 'began' | 'ended'>

/** The parts that the supervisor gives each agent. */
export interface AgentParts {
  state: StateManager
  ledger: Ledger
  runs: RunTable
  checkpoints: CheckpointTable
  clock: Clock
  runTokens: RunTokenIssuer
  secrets: SecretSource
  /** The sinks of the agents' output. */
  output: OutputParts
  environmentFor: (facts: AgentFacts, run: RunProof, secrets: AgentEnvironment) => Promise<AgentEnvironment>
  /** The sandbox of an agent. Throws CageError `sandbox_unavailable`. */
  cageFor: (facts: AgentFacts, environment: AgentEnvironment) => Cage
  /** Starts the launchers of sandboxes. */
  launchers: Launchers
  /** Starts the launcher of the agent's next run in advance. */
  prepareLauncher: (facts: AgentFacts) => void
  /** Records the folders that sandboxed agents may write to, before they do. */
  agentFolders: Pick<AgentFolders, 'open' | 'hide'> | undefined
  /** Looks up places that an agent connects to, as "host:port". */
  places: {
    /** True for our own gateway, which is no bypass. */
    isOwn: (target: string) => boolean
    /** The name of the provider at that place. */
    providerAt: (target: string) => Promise<string | undefined>
  }
  /** The guard settings that `agent.started` records. */
  guard: Pick<EventData['agent.started'], 'safety_mode' | 'detect' | 'warn_at'>
}

/** The fixed facts of an agent. */
export interface AgentFacts {
  id: AgentId
  name: string
  /** The path of the script, or the module or program, without personal data. */
  script: string
  /** The strategy that it is deployed with; undefined for one that is not. */
  strategy: string | undefined
  /** Absolute path of the script or program. */
  path: string
  /** Of this process, which become its own. */
  descriptors: Descriptors | undefined
  /** The owner of the checkpoint it resumes from. */
  owner: CheckpointOwner
  command: Command
  /** Absolute path of its working folder. */
  cwd: string
  settings: Config['agent']
  /** The environment it inherits. */
  inherited: AgentEnvironment
}

interface Run {
  id: RunId
  process: AgentProcess
  /** Its stdout and stderr. */
  output: readonly Reading[]
}

/** How long an agent has the processor to itself before a launcher for the next one is started, in ms. */
const SPARE_DELAY_MS = 1_000
/** How long the pipes of an ended process may stay open, held by a survivor, in ms. */
const DRAIN_MS = 1_000

/** Refusals that the next run would meet as well. */
const LASTING_REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'budget_exceeded',
  'price_unknown',
  'pii_blocked',
  'model_refused',
  'provider_key_missing',
  'body_too_large',
  'bad_request',
  'forbidden',
])

const CALL_EVENTS: ReadonlySet<EventType> = new Set(['call.completed', 'call.failed', 'service.called'])

const KEY_VARIABLE = /\b[A-Z][A-Z0-9_]*_(?:KEY|TOKEN|SECRET)\b/g

/** The first variable of this kind that an error names and that is not set. */
const missingKeyOf = (error: string | undefined, variables: ReadonlySet<string>): string | undefined =>
  error?.match(KEY_VARIABLE)?.find((name) => !variables.has(name))

const NO_EXIT: Exit = { exitCode: null, signal: null }

export class Agent {
  readonly facts: AgentFacts
  readonly #parts: AgentParts
  #run: Run | undefined
  /** The last run's id and start (monotonic ms); read after the run to report and judge it. */
  #runId: RunId = newRunId()
  #startedAt = 0
  /** The refusal of the last call, unless an answer came after it. */
  #refusal: ErrorCode | undefined
  /** Whether the current run has called a provider or a service. */
  #hasCalled = false
  /** The names of its environment variables that are set. */
  #variables: ReadonlySet<string> = new Set()
  #progress: ProgressWatch
  #history: RestartHistory = NO_HISTORY
  #restarts = 0
  readonly #output: AgentOutput
  #isLive = false
  #isPaused = false
  #stoppedBy: StopReason | null = null
  /** The stop is the first half of an operator's restart. */
  #startAgain = false
  /** Ends the wait before a restart. */
  #wake = () => {}
  #ended: Promise<AgentEnd> | undefined

  constructor(facts: AgentFacts, parts: AgentParts) {
    this.facts = facts
    this.#parts = parts
    this.#progress = this.#watchProgress()
    this.#output = new AgentOutput(facts.id, parts)
  }

  /** Starts the first run; restarts follow automatically. Rejects when the system cannot spawn. */
  async start(): Promise<void> {
    this.#isLive = true
    this.#stoppedBy = null
    this.#forgive()
    const begun = this.#begin()
    this.#ended = begun.then(
      (run) => this.#live(run),
      () => this.#end(NO_EXIT, 'failed'),
    )
    await begun
  }

  /** Processes an event of this agent. */
  see(event: RuntimeEvent): void {
    const isProgress = this.#progress.see(event)
    this.#hasCalled ||= CALL_EVENTS.has(event.type)
    if (isProgress || event.type === 'call.completed') this.#refusal = undefined
  }

  /** True while it runs or is going to be restarted. */
  get isLive(): boolean {
    return this.#isLive
  }

  /** Resolves when it has ended for good. A later restart replaces this promise. */
  get ended(): Promise<AgentEnd> {
    if (!this.#ended) throw new Error(`${this.facts.id} was never started`)
    return this.#ended
  }

  /** Ends it for good. Resolves when the process table shows none of its processes. */
  async stop(reason: StopReason): Promise<void> {
    if (!this.#isLive) return
    if (!this.#stoppedBy || this.#startAgain) {
      this.#startAgain = false
      this.#endRun(reason)
    } else if (reason !== this.#stoppedBy) this.#endNow()
    await this.#ended
  }

  /**
   * Ends the current run, if any, and starts another with an empty history; `agent.started` reports the new run.
   * Throws CageError `conflict` while it is being stopped.
   */
  async restart(): Promise<void> {
    if (!this.#isLive) {
      this.#restarts += 1
      await this.start()
      return
    }
    if (this.#startAgain) return
    if (this.#stoppedBy) {
      const { id } = this.facts
      throw new CageError('conflict', `${id} is being stopped`, { facts: { agent_id: id } })
    }
    this.#startAgain = true
    this.#endRun('operator')
  }

  /** Sends a signal to its process group, if it has one. */
  signal(signal: NodeJS.Signals): void {
    this.#run?.process.signal(signal)
  }

  /** Throws CageError `agent_not_running` when there is no process. */
  pause(by: string): void {
    const { process } = this.#requireRun()
    if (this.#isPaused) return
    this.#isPaused = true
    process.pause()
    const message = `${this.facts.name} paused by ${by}`
    this.#record({ type: 'agent.paused', level: 'INFO', message, data: { by } })
  }

  /** Throws CageError `agent_not_running` when there is no process. */
  resume(by: string): void {
    const { process } = this.#requireRun()
    if (!this.#isPaused) return
    this.#isPaused = false
    // Recorded first: the agent's next call must find it running.
    const message = `${this.facts.name} resumed by ${by}`
    this.#record({ type: 'agent.resumed', level: 'INFO', message, data: { by } })
    process.resume()
  }

  /** Runs it again and again, until the policy ends it. */
  async #live(first: Run): Promise<AgentEnd> {
    let exit = await this.#untilExit(first)
    for (;;) {
      let decision = this.#decide(exit)
      if (decision.next === 'restart') {
        this.#recordExit(exit, { state: 'starting', reason: decision.reason, restartInMs: decision.afterMs })
        await this.#wait(decision.afterMs)
        // A stop or an operator's restart may have come during the wait.
        if (this.#stoppedBy) decision = this.#decide(exit)
      }
      if (decision.next === 'end') {
        this.#recordExit(exit, { ...decision, reason: decision.reason + this.#background(decision) })
        return this.#end(exit, decision.state)
      }
      this.#history = decision.history
      this.#restarts += 1
      exit = await this.#runAgain()
    }
  }

  async #runAgain(): Promise<Exit> {
    let run: Run
    try {
      run = await this.#begin()
    } catch (error) {
      const { facts, message } = asCageError(error)
      return { ...NO_EXIT, fault: String(facts.fault ?? message) }
    }
    return this.#untilExit(run)
  }

  async #begin(): Promise<Run> {
    const { id: agentId, name, command, cwd, descriptors } = this.facts
    const { runTokens, secrets, environmentFor, clock } = this.#parts
    const id = newRunId()
    this.#runId = id
    this.#startedAt = clock.monotonic()
    this.#output.beginRun()
    this.#refusal = undefined
    this.#hasCalled = false
    const { environment: of, provider_keys: providerKeys } = this.facts.settings
    const token = runTokens.issue({
      ...this.facts.owner,
      agentId,
      runId: id,
      egress: this.facts.settings.egress,
      onRefused: (error) => this.#wasRefused(error),
    })
    try {
      const own = await secrets.forStart({ agentId, runId: id, name, environment: of, providerKeys })
      const address = runTokens.addressOf(id, token)
      const environment = await environmentFor(this.facts, { token, address }, own)
      this.#variables = new Set(Object.keys(environment).filter((name) => environment[name]))
      const process = await this.#spawn({ command, cwd, environment, agentId, descriptors })
      const run: Run = { id, process, output: this.#listen(process) }
      runTokens.bind(id, { agentId, pid: process.pid, started: process.started }, process.gatewayKey)
      this.#run = run
      this.#isPaused = false
      this.#recordStart(process)
      secrets.began(id, { pid: process.pid, signal: () => process.signalSecretsChanged() })
      // A stop that came meanwhile finds the process waiting at its gate.
      if (this.#stoppedBy) void process.end(this.#graceMs, clock)
      else process.release()
      return run
    } catch (error) {
      runTokens.revoke(id)
      secrets.ended(id)
      throw error
    }
  }

  /** Spawns in the sandbox; without one if the level is `auto` and none can be built. */
  async #spawn(launch: Launch): Promise<AgentProcess> {
    const cage = this.#recordFolders(this.#parts.cageFor(this.facts, launch.environment))
    const { agentFolders, launchers, prepareLauncher, clock } = this.#parts
    const base = inheritedEnvironment(this.facts.inherited, this.facts.settings.env)
    try {
      const process = await spawnAgent({ ...launch, cage, launchers: { own: launchers, base } })
      if (cage.launcher) clock.after(SPARE_DELAY_MS, () => prepareLauncher(this.facts)).unref()
      if (process.isServerHidden) agentFolders?.hide(cage.writes, cage.hides)
      return process
    } catch (error) {
      if (cage.level !== 'auto' || !(error instanceof CageError) || error.code !== 'sandbox_unavailable') throw error
      return await spawnAgent({ ...launch, cage: { ...cage, launcher: null, why: String(error.facts.fault) } })
    }
  }

  /** Records where the agent may write. Throws CageError `sandbox_unavailable` when that fails, unless the level is `auto`. */
  #recordFolders(cage: Cage): Cage {
    if (!cage.launcher || cage.level === 'observe') return cage
    try {
      this.#parts.agentFolders?.open(cage.writes)
      return cage
    } catch (error) {
      const why = `its folders cannot be recorded (${(error as Error).message}): set HOME to a folder that can be written`
      if (cage.level !== 'auto') throw unavailable(cage.level, why)
      return { ...cage, why: `${why}, or a configuration file that it leaves is read after a kill of the server` }
    }
  }

  /** Resolves when no process of the run is left and all its output is recorded. */
  async #untilExit({ id, process, output }: Run): Promise<Exit> {
    const exit = await process.exited
    this.#parts.runTokens.revoke(id)
    this.#parts.secrets.ended(id)
    const survivors = await process.end(this.#graceMs, this.#parts.clock)
    if (survivors.length > 0) this.#record(survivedEvent(this.facts.name, this.#stoppedBy, survivors))
    for (const reading of output) reading.hurry()
    // At the end of a turn, so that output waiting for a stalled server is read first.
    const close = () => {
      for (const reading of output) reading.close()
    }
    const giveUp = this.#parts.clock.after(DRAIN_MS, () => setImmediate(close))
    await Promise.all(output.map(({ ended }) => ended))
    giveUp.cancel()
    this.#output.endRun()
    this.#run = undefined
    return exit
  }

  #decide(exit: Exit): Decision {
    if (this.#startAgain) {
      this.#startAgain = false
      this.#stoppedBy = null
      this.#forgive()
      return { next: 'restart', afterMs: 0, history: NO_HISTORY, reason: 'restarted by the operator' }
    }
    const { enabled, max, window_s, without_progress: withoutProgress } = this.facts.settings.restart
    const settings = { enabled, max, windowMs: window_s * 1000, withoutProgress }
    return restartPolicy(this.#lifeOf(exit), this.#history, settings)
  }

  #lifeOf(exit: Exit): Life {
    const { lastError } = this.#output
    return {
      ...exit,
      startedAt: this.#startedAt,
      endedAt: this.#parts.clock.monotonic(),
      stoppedBy: this.#stoppedBy,
      progressed: this.#progress.endLife(this.#checkpoint),
      refusal: this.#refusal,
      lastError,
      called: this.#hasCalled,
      missingKey: missingKeyOf(lastError, this.#variables),
    }
  }

  /** An operator who restarts it has examined it: clears its history. */
  #forgive(): void {
    this.#history = NO_HISTORY
    this.#progress = this.#watchProgress()
  }

  #watchProgress(): ProgressWatch {
    return new ProgressWatch(this.#checkpoint)
  }

  get #checkpoint(): string | undefined {
    return this.#parts.checkpoints.digest(this.facts.owner)
  }

  #wasRefused({ code }: CageError): void {
    this.#hasCalled = true
    if (LASTING_REFUSALS.has(code)) this.#refusal = code
  }

  /** Waits before a restart, unless it was or is stopped. */
  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stoppedBy) return resolve()
      const timer = this.#parts.clock.after(ms, resolve)
      this.#wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  #endRun(reason: StopReason): void {
    this.#stoppedBy = reason
    this.#record(stoppedEvent(this.facts.name, reason))
    // Its calls are refused from now on: most agents save their work and end by themselves.
    if (reason === 'budget' && this.#run) this.#parts.clock.after(this.#graceMs, () => this.#endNow()).unref()
    else this.#endNow()
  }

  #endNow(): void {
    if (this.#run) void this.#run.process.end(this.#graceMs, this.#parts.clock)
    else this.#wake()
  }

  #end(exit: Exit, state: FinalState): AgentEnd {
    this.#isLive = false
    return { ...exit, state }
  }

  get #graceMs(): number {
    return this.facts.settings.stop_grace_s * 1000
  }

  #requireRun(): Run {
    if (this.#run && !this.#stoppedBy) return this.#run
    const { id } = this.facts
    throw new CageError('agent_not_running', `${id} is not running`, {
      facts: { agent_id: id },
      hint: `start it again with "iron-cage restart ${id}"`,
    })
  }

  #listen(process: AgentProcess): Reading[] {
    const printed = this.#output.listen(process)
    const { reports } = process
    return reports ? [...printed, this.#listenToWalls(reports)] : printed
  }

  #listenToWalls(reports: Reports): Reading {
    let recorded = Promise.resolve()
    reports.listen((report) => {
      recorded = recorded.then(() =>
        'planted' in report ? this.#record(plantedEvent(this.facts.name, report)) : this.#recordAttempt(report),
      )
    })
    return { ended: reports.ended.then(() => recorded), hurry: () => {}, close: () => reports.close() }
  }

  async #recordAttempt(attempt: Attempt): Promise<void> {
    const { name } = this.facts
    const { isOwn, providerAt } = this.#parts.places
    const hasConnected = attempt.action === 'connect' && !attempt.refused
    if (hasConnected && isOwn(attempt.target)) return
    const provider = hasConnected ? await providerAt(attempt.target) : undefined
    this.#record(provider ? bypassedEvent(name, provider, attempt) : attemptEvent(name, attempt))
  }

  #recordStart({ pid, started, sandbox }: AgentProcess): void {
    const { id, name, script, strategy, settings } = this.facts
    const { runs, ledger, clock, guard } = this.#parts
    const run = { name, script, restart: this.#restarts, pid, environment: settings.environment }
    const times = { pid_started: started ?? null, started_at: isoTime(clock.now()) }
    const row = { id: this.#runId, agent_id: id, ...run, ...times }
    const limit_usd = toUsd(ledger.accounts.balance(id).limit)
    const data = {
      run_id: this.#runId,
      ...run,
      limit_usd,
      ...guard,
      sandbox,
      ...(strategy !== undefined && { strategy }),
      ...(Object.keys(settings.tags).length > 0 && { tags: settings.tags }),
    }
    this.#record(startedEvent(data), () => runs.insert(row))
  }

  /** The likely next question about such an end, answered. */
  #background({ state, reason }: { state: FinalState; reason: string }): string {
    if (state === 'crash_loop') return `${this.#errorText}${this.#refusedKey()}`
    if (NO_INPUT.test(this.#output.lastError ?? '')) return `; to type an answer, start it with "${this.#runCommand}"`
    return reason.includes('ModuleNotFoundError') ? `; it ran on ${this.facts.command.program}` : ''
  }

  get #runCommand(): string {
    const { program, args } = this.facts.command
    return ['iron-cage run --', basename(program), ...args].join(' ')
  }

  get #errorText(): string {
    const { lastError } = this.#output
    return lastError ? `: ${lastError}` : ''
  }

  /** Reports that the provider refused the key of the run's last call. */
  #refusedKey(): string {
    const { state } = this.#parts
    const query = { agentId: this.facts.id, limit: 1 }
    const [begun] = state.findEvents({ ...query, type: 'agent.started' })
    const [failed] = state.findEvents({ ...query, type: 'call.failed' })
    if (failed?.type !== 'call.failed' || !begun || failed.seq < begun.seq) return ''
    const { code, status, provider } = failed.data
    return code === 'provider_refused' && status === 401 ? `; ${provider} refused its key (401)` : ''
  }

  #recordExit(exit: Exit, outcome: ExitOutcome): void {
    const { runs, checkpoints, clock } = this.#parts
    const runId = this.#runId
    const end = { ended_at: isoTime(clock.now()), exit_code: exit.exitCode, signal: exit.signal }
    this.#record(exitedEvent(this.facts.name, runId, exit, outcome), () => {
      runs.end(runId, end)
      if (outcome.state === 'completed') checkpoints.forget(this.facts.owner)
    })
  }

  #record(event: NewEvent, alongside?: () => void): void {
    this.#parts.state.record({ ...event, agent_id: this.facts.id }, alongside)
  }
}
