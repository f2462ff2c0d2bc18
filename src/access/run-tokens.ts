/**
 * Run tokens: what an agent proves itself with while its run lasts. Kept as hashes, in memory: they die with the run.
 *
 * A run that has processes is bound to them: its token is worth nothing to anybody else who got hold of it, as far as the
 * system lets us look (`peers.ts`). Therefore an address may name such a run by its id alone, which is no secret.
 */
import { hash } from 'node:crypto'
import { CageError } from '../errors.ts'
import type { AgentId, RunId } from '../ids.ts'
import { newToken } from '../tokens.ts'
import type { Connection, Peer, Peers, RunProcess } from './peers.ts'

export interface TokenRun {
  agentId: AgentId
  runId: RunId
  /** The agent's name, and the script that it runs. */
  name: string
  script: string
  /** Called with each refusal of ours that the run is answered with. (Default: nobody.) */
  onRefused?: (error: CageError) => void
  /** The run's first process. (Default: there is none, and the token alone is the proof.) */
  process?: RunProcess | undefined
  /** Whether the token it was asked with still works: a part of a run does not outlive it. (Default: there is none.) */
  lives?: () => boolean
}

export class RunTokens {
  readonly #byHash = new Map<string, TokenRun>()
  readonly #byId = new Map<RunId, TokenRun>()
  readonly #peers: Peers

  constructor(peers: Peers) {
    this.#peers = peers
  }

  /** A new token, shown this once. */
  issue(run: TokenRun): string {
    const token = newToken('run')
    this.#byHash.set(hashOf(token), run)
    this.#byId.set(run.runId, run)
    return token
  }

  /** From now on the run's tokens are its processes' alone. Before any of them runs a line of the agent. */
  bind(runId: RunId, process: RunProcess): void {
    for (const run of this.#byHash.values()) if (run.runId === runId) run.process = process
  }

  /** The process that a run without any can be bound to: the caller, who says what its pid is; undefined where it is not so. */
  processOf(connection: Connection, agentId: AgentId, pid: number): Promise<RunProcess | undefined> {
    return this.#peers.claim(connection, agentId, pid)
  }

  /** Ends every token of a run at once. */
  revoke(runId: RunId): void {
    this.#byId.delete(runId)
    for (const [hash, run] of this.#byHash) if (run.runId === runId) this.#byHash.delete(hash)
  }

  /** The run whose token this is; undefined for anything else. Says nothing about who sent it. */
  find(token: string): TokenRun | undefined {
    return living(token.startsWith('run_') ? this.#byHash.get(hashOf(token)) : undefined)
  }

  /**
   * What stands for a run in an address of the gateway: its id where who calls can be looked at, so that no token is in a
   * URL, which clients log; else the token.
   */
  addressOf(runId: RunId, token: string): string {
    return this.#peers.canLook ? runId : token
  }

  /**
   * The run whose token came over a connection; undefined for what is no token of a run.
   * Rejects with CageError `foreign_process` when the caller is a process of this machine and none of the run's.
   */
  async identify(token: string, connection: Connection): Promise<TokenRun | undefined> {
    const run = this.find(token)
    if (run?.process && (await this.#peerOf(run.process, connection)) === 'foreign') throw foreign(run)
    return run
  }

  /**
   * The run with this id, when the connection is one of its own processes'. Who cannot be looked at (a container with a
   * network of its own) needs the run's token among its `keys`.
   * Rejects with CageError `unauthorized` when there is no such run, `foreign_process`.
   */
  async identifyById(runId: RunId, connection: Connection, keys: readonly string[]): Promise<TokenRun> {
    const run = living(this.#byId.get(runId))
    if (!run) throw ended()
    const peer = run.process ? await this.#peerOf(run.process, connection) : 'unknown'
    if (peer === 'own' || (peer === 'unknown' && keys.some((key) => this.find(key) === run))) return run
    throw foreign(run)
  }

  #peerOf(process: RunProcess, connection: Connection): Peer | Promise<Peer> {
    return this.#peers.of(connection, process)
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
export const hashOf = (token: string): string => hash('sha256', token)
