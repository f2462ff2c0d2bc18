/**
 * Delivers secrets to agents, from the start of a run until its last rotation. The sequence:
 *
 *   1 an agent starts with the secrets of its environment, as variables by name           forStart
 *   2 its Python shim installs a signal handler and reports that it listens               acknowledge
 *   3 a secret gets a new value                                                           secret.updated
 *   4 each run that listens gets SIGUSR1; one that has just been started may still report
 *   5 its shim requests the secrets, changes os.environ, and confirms it                  handOver, acknowledge → secret.reloaded
 *   6 a run that has not confirmed within five seconds needs a restart                    secret.reload_failed
 *   7 every run has confirmed or timed out                                                secret.rotated
 *
 * The rules are:
 * - A run gets no signal before it reports that it listens, nor after it missed one: SIGUSR1 kills a program that does
 *   not handle it, and means something else to a program that uses it itself.
 * - A revision counts the rotations. It is read before the values, so a run that has a revision has all values up to
 *   it.
 * - A shielded agent never gets a provider key, neither at its start nor later: only the gateway knows it.
 * - Calls do not wait for any of this: the gateway replaces old keys by itself (`provider-keys.ts`).
 */

import type { Config } from '../config/schema.ts'
import type { Clock, Timer } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { AgentId, RunId } from '../core/ids.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { CentralSecrets } from './central-secrets.ts'
import { whyReserved } from './reserved-names.ts'
import type { Requester } from './secret-audit.ts'
import type { Vault } from './vault.ts'

/** A run that gets secrets. */
export interface SecretRun {
  agentId: AgentId
  runId: RunId
  /** The agent's name, for people. */
  name: string
  environment: string
  providerKeys: Config['agent']['provider_keys']
}

/** Its process. */
export interface SecretProcess {
  pid: number
  /** Sends SIGUSR1, unless the process is gone or does not catch it. */
  signal(): void
}

export interface RotationOptions {
  vault: Pick<Vault, 'isLocked' | 'list' | 'revealEnvironment'>
  /** (Default: none.) */
  central?: Pick<CentralSecrets, 'load' | 'reveal'> | undefined
  state: StateManager
  clock: Clock
  /** The variables that hold provider keys. */
  providerKeyNames: ReadonlySet<string>
  /** How long a run may take to acknowledge, in ms. (Default: 5000.) */
  patienceMs?: number
}

interface Follower {
  run: SecretRun
  process: SecretProcess | undefined
  listens: boolean
  /** Rotations it has not acknowledged. */
  owes: Set<Rotated>
}

interface Rotated {
  name: string
  environment: string
  revision: number
  /** Monotonic ms. */
  startedAt: number
  /** Runs that can still acknowledge in time. */
  waiting: Set<RunId>
  reloaded: number
  givenUp: number
  timer: Timer | undefined
}

const PATIENCE_MS = 5_000

export class Rotation {
  readonly #options: RotationOptions
  readonly #followers = new Map<RunId, Follower>()
  readonly #open = new Set<Rotated>()
  readonly #unsubscribe: () => void
  #revision = 0

  constructor(options: RotationOptions) {
    this.#options = options
    this.#unsubscribe = options.state.subscribe((event) => {
      if (event.type === 'secret.updated' || event.type === 'secret.received')
        this.#rotate(event.data.name, event.data.environment)
    })
  }

  /**
   * The secrets a run starts with, by name. None while the vault is locked: the agent runs all the same, and an event
   * records it. Throws the vault's errors for a secret that cannot be read. `ended` must follow.
   */
  async forStart(run: SecretRun): Promise<Record<string, string>> {
    this.#followers.set(run.runId, { run, process: undefined, listens: false, owes: new Set() })
    const { vault, central, state } = this.#options
    const { agentId: agent_id, name, environment } = run
    const withheld = (secrets: number, what: string) => {
      const message = `${name} starts without ${what}`
      state.record({ type: 'secret.withheld', level: 'WARN', agent_id, message, data: { environment, secrets } })
    }
    const loaded = (await central?.load(environment, name)) ?? 'loaded'
    if (loaded !== 'loaded')
      withheld(0, `the secrets of ${environment} from the Control Panel, which ${PANEL_REASONS[loaded]}`)
    const secrets = vault.list({ environment }).length
    if (secrets > 0 && vault.isLocked)
      withheld(secrets, `the ${secrets} secrets of ${environment}: the vault is locked`)
    return this.#valuesFor(run, !vault.isLocked)
  }

  /** Records that the run has a process. */
  began(runId: RunId, process: SecretProcess): void {
    const follower = this.#followers.get(runId)
    if (follower) follower.process = process
  }

  /** Records that the run is over: rotations stop waiting for it. */
  ended(runId: RunId): void {
    const follower = this.#followers.get(runId)
    if (!follower) return
    this.#followers.delete(runId)
    for (const rotated of follower.owes) this.#answered(rotated, runId)
  }

  /**
   * The current secrets of a run's environment, and the revision they include. Throws CageError `vault_locked`, and
   * `agent_not_running` for a run that is over.
   */
  async handOver(runId: RunId): Promise<{ revision: number; secrets: Record<string, string> }> {
    const { run } = this.#get(runId)
    const revision = this.#revision
    return { revision, secrets: await this.#valuesFor(run, true) }
  }

  /** Those of the Control Panel, and those of the vault, which count instead. */
  async #valuesFor(run: SecretRun, withVault: boolean): Promise<Record<string, string>> {
    const { vault, central } = this.#options
    const { agentId, name: agent, environment } = run
    const by: Requester = { role: 'agent', actor: agentId, agentId }
    const isEntitled = (name: string) => !this.isWithheld(run, name)
    const own = vault.list({ environment })
    const local = own.length === 0 || !withVault ? [] : await vault.revealEnvironment(environment, by, isEntitled)
    const isFree = (name: string) => isEntitled(name) && !own.some((secret) => secret.name === name)
    const given = central?.reveal({ environment, agent }, by, isFree) ?? []
    return Object.fromEntries([...given, ...local])
  }

  /**
   * Records that a process of the run listens (`revision` null), or has the secrets up to `revision`. Only the run's
   * first process counts: a child of it cannot change its parent's environment. Throws CageError `agent_not_running`.
   */
  acknowledge(runId: RunId, pid: number, revision: number | null): void {
    const follower = this.#get(runId)
    if (follower.process?.pid !== pid) return
    follower.listens = true
    if (revision === null) {
      if (follower.owes.size > 0) follower.process.signal()
      return
    }
    for (const rotated of follower.owes) if (rotated.revision <= revision) this.#reloaded(rotated, follower)
  }

  /** True when the run must not have this secret. */
  isWithheld({ providerKeys }: Pick<SecretRun, 'providerKeys'>, name: string): boolean {
    const { providerKeyNames } = this.#options
    // An earlier version allowed any name.
    return whyReserved(name) !== undefined || (providerKeys === 'shield' && providerKeyNames.has(name))
  }

  /** True when the run may have this secret. Throws CageError `agent_not_running` for a run that is over. */
  isEntitled(runId: RunId, { name, environment }: { name: string; environment: string }): boolean {
    const { run } = this.#get(runId)
    return environment === run.environment && !this.isWithheld(run, name)
  }

  close(): void {
    this.#unsubscribe()
    for (const { timer } of this.#open) timer?.cancel()
  }

  #rotate(name: string, environment: string): void {
    const { clock, patienceMs = PATIENCE_MS } = this.#options
    this.#revision += 1
    const concerned = [...this.#followers.values()].filter(
      ({ run }) => run.environment === environment && !this.isWithheld(run, name),
    )
    const rotated: Rotated = {
      name,
      environment,
      revision: this.#revision,
      startedAt: clock.monotonic(),
      waiting: new Set(concerned.map(({ run }) => run.runId)),
      reloaded: 0,
      givenUp: 0,
      timer: clock.after(patienceMs, () => this.#giveUp(rotated)),
    }
    this.#open.add(rotated)
    for (const follower of concerned) {
      follower.owes.add(rotated)
      if (follower.listens) follower.process?.signal()
    }
    this.#finishIfAnswered(rotated)
  }

  #reloaded(rotated: Rotated, { run, owes }: Follower): void {
    const { name, environment, startedAt } = rotated
    owes.delete(rotated)
    rotated.reloaded += 1
    const latency_ms = Math.round(this.#options.clock.monotonic() - startedAt)
    this.#options.state.record({
      type: 'secret.reloaded',
      level: 'OK',
      agent_id: run.agentId,
      message: `${run.name} has the new ${name}, after ${latency_ms} ms`,
      data: { name, environment, latency_ms },
    })
    this.#answered(rotated, run.runId)
  }

  /** A late acknowledgment is still accepted: `owes` keeps the rotation. */
  #giveUp(rotated: Rotated): void {
    const { name, environment, waiting } = rotated
    for (const runId of waiting) {
      const { run, listens } = this.#get(runId)
      const reason = listens ? 'no_answer' : 'does_not_listen'
      this.#get(runId).listens = false
      rotated.givenUp += 1
      this.#options.state.record({
        type: 'secret.reload_failed',
        level: 'WARN',
        agent_id: run.agentId,
        message: `${run.name} ${REASONS[reason]}: restart required for the new ${name}`,
        data: { name, environment, reason },
      })
    }
    waiting.clear()
    this.#finishIfAnswered(rotated)
  }

  #answered(rotated: Rotated, runId: RunId): void {
    rotated.waiting.delete(runId)
    this.#finishIfAnswered(rotated)
  }

  #finishIfAnswered(rotated: Rotated): void {
    if (rotated.waiting.size > 0 || !this.#open.delete(rotated)) return
    rotated.timer?.cancel()
    const { name, environment, reloaded, givenUp } = rotated
    const restarts = givenUp === 0 ? '' : `, ${givenUp} ${givenUp === 1 ? 'needs' : 'need'} a restart`
    this.#options.state.record({
      type: 'secret.rotated',
      level: givenUp === 0 ? 'OK' : 'WARN',
      message: `${name} of ${environment} rotated: ${reloaded} ${reloaded === 1 ? 'agent has' : 'agents have'} it${restarts}`,
      data: { name, environment, reloaded, restart_required: givenUp },
    })
  }

  #get(runId: RunId): Follower {
    const follower = this.#followers.get(runId)
    if (follower) return follower
    throw new CageError('agent_not_running', 'no process was started for the run of this token', {
      facts: { run_id: runId },
    })
  }
}

const PANEL_REASONS = { unanswered: 'does not answer', revoked: 'has revoked this machine' } as const

const REASONS = {
  no_answer: 'has not answered',
  does_not_listen: 'does not listen for rotated secrets',
} as const
