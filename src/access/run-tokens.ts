/**
 * Run tokens: the credentials of an agent for one run. Kept as hashes in memory; they end with the run.
 *
 * A run with processes is bound to them: its token is useless to any other process, as far as the system can
 * distinguish them (`peers.ts`). Therefore a URL may name such a run by its id alone, which is no secret.
 */
import { hash } from 'node:crypto'
import type { Config } from '../config/schema.ts'
import { CageError } from '../core/errors.ts'
import type { AgentId, RunId } from '../core/ids.ts'
import { newToken } from '../core/tokens.ts'
import type { Connection, Peer, Peers, RunProcess } from './peers.ts'

export interface TokenRun {
  agentId: AgentId
  runId: RunId
  /** What this is a part of, outermost: a run, or an agent without a process. (Default: nothing, it is a run.) */
  partOf?: RunId | AgentId | undefined
  /** The agent's name and its script. */
  name: string
  script: string
  /** Called with each error that the run is answered with. (Default: none.) */
  onRefused?: (error: CageError) => void
  /** The hosts that it may reach besides providers and services. (Default: none.) */
  egress?: Config['agent']['egress']
  /** Only its sandbox has it, outside of the agent. (Default: it redirects nothing.) */
  gatewayKey?: string | undefined
  /** The run's first process. (Default: there is none, and the token alone is the proof.) */
  process?: RunProcess | undefined
  /** Whether the token that created this part of a run is still valid: the part does not outlive it. (Default: none.) */
  lives?: () => boolean
}

export class RunTokens {
  readonly #byHash = new Map<string, TokenRun>()
  readonly #byId = new Map<RunId, TokenRun>()
  readonly #peers: Peers

  constructor(peers: Peers) {
    this.#peers = peers
  }

  /** Creates a token, shown only this once. */
  issue(run: TokenRun): string {
    const token = newToken('run')
    this.#byHash.set(tokenHash(token), run)
    this.#byId.set(run.runId, run)
    return token
  }

  /**
   * Binds the run's tokens to its processes. Called before any of them runs a line of the agent. `gatewayKey`: of the
   * sandbox that redirects its connections. (Default: none does.)
   */
  bind(runId: RunId, process: RunProcess, gatewayKey?: string): void {
    for (const run of this.#byHash.values()) if (run.runId === runId) Object.assign(run, { process, gatewayKey })
  }

  /** The process to bind a run without one to: the caller, if it really has the pid it claims; else undefined. */
  processOf(connection: Connection, agentId: AgentId, pid: number): Promise<RunProcess | undefined> {
    return this.#peers.claim(connection, agentId, pid)
  }

  /** Ends every token of a run at once. */
  revoke(runId: RunId): void {
    this.#byId.delete(runId)
    for (const [hash, run] of this.#byHash) if (run.runId === runId) this.#byHash.delete(hash)
  }

  /** The run of this token, else undefined. Does not check who sent it. */
  find(token: string): TokenRun | undefined {
    return living(token.startsWith('run_') ? this.#byHash.get(tokenHash(token)) : undefined)
  }

  /**
   * The segment that stands for a run in a gateway URL: its id where callers can be looked up, since clients log URLs; else
   * the token.
   */
  addressOf(runId: RunId, token: string): string {
    return this.#peers.canLook ? runId : token
  }

  /**
   * Returns the run of a token that came over this connection; undefined if it is no run token.
   * Rejects with CageError `foreign_process` when the caller is a process of this machine outside the run.
   */
  async identify(token: string, connection: Connection): Promise<TokenRun | undefined> {
    const run = this.find(token)
    if (run?.process && (await this.#peerOf(run.process, connection)) === 'foreign') throw foreign(run)
    return run
  }

  /**
   * Returns the run with this id if the connection belongs to one of its processes. A caller that cannot be looked up
   * (a container with a separate network) needs the run's token among its `keys`. Rejects with CageError `unauthorized`
   * when there is no such run, `foreign_process`.
   */
  async identifyById(runId: RunId, connection: Connection, keys: readonly string[]): Promise<TokenRun> {
    const run = living(this.#byId.get(runId))
    if (!run) throw ended()
    const peer = run.process ? await this.#peerOf(run.process, connection) : 'unknown'
    if (peer === 'own' || (peer === 'unknown' && keys.some((key) => this.find(key) === run))) return run
    throw foreign(run)
  }

  /** Returns the run whose sandbox has this key, and redirects a connection. No process is looked up. */
  identifySandbox(token: string, key: string): TokenRun | undefined {
    const run = this.find(token)
    return run?.gatewayKey !== undefined && tokenHash(run.gatewayKey) === tokenHash(key) ? run : undefined
  }

  /** Makes the connection one of the run's, whose caller is known otherwise. */
  adopt(run: TokenRun, connection: Connection): void {
    if (run.process) this.#peers.adopt(connection, run.process)
  }

  /** Returns the run whose process is the caller; undefined for all others, and where callers cannot be looked up. */
  async identifyByProcess(connection: Connection): Promise<TokenRun | undefined> {
    for (const run of this.#byId.values()) {
      if (run.process && (await this.#peerOf(run.process, connection)) === 'own') return living(run)
    }
    return undefined
  }

  #peerOf(process: RunProcess, connection: Connection): Peer | Promise<Peer> {
    return this.#peers.of(connection, process, () => this.#processesBeside(process.agentId))
  }

  #processesBeside(agentId: AgentId): RunProcess[] {
    return [...this.#byHash.values()].flatMap(({ process }) =>
      process && process.agentId !== agentId ? [process] : [],
    )
  }
}

const living = (run: TokenRun | undefined): TokenRun | undefined => (run?.lives?.() === false ? undefined : run)

export const ended = (): CageError =>
  new CageError('unauthorized', 'this run is not known, or has ended', { hint: 'start the agent again' })

const foreign = ({ agentId, runId }: TokenRun): CageError =>
  new CageError('foreign_process', `this is for the processes of ${runId} alone, and the caller is none of them`, {
    facts: { agent_id: agentId, run_id: runId },
  })

/** Tokens are 256 random bits: a plain hash is as good as a slow one, and the time of a look-up reveals nothing. */
export const tokenHash = (token: string): string => hash('sha256', token)
