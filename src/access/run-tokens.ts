/** Run tokens: what an agent proves itself with while its run lasts. Kept as hashes, in memory: they die with the run. */
import { hash } from 'node:crypto'
import type { CageError } from '../errors.ts'
import type { AgentId, RunId } from '../ids.ts'
import { newToken } from '../tokens.ts'

export interface TokenRun {
  agentId: AgentId
  runId: RunId
  /** The agent's name, and the script that it runs. */
  name: string
  script: string
  /** Called with each refusal of ours that the run is answered with. (Default: nobody.) */
  onRefused?: (error: CageError) => void
  /** Whether the token it was asked with still works: a part of a run does not outlive it. (Default: there is none.) */
  lives?: () => boolean
}

export class RunTokens {
  readonly #runs = new Map<string, TokenRun>()

  /** A new token, shown this once. */
  issue(run: TokenRun): string {
    const token = newToken('run')
    this.#runs.set(hashOf(token), run)
    return token
  }

  /** Ends every token of a run at once. */
  revoke(runId: RunId): void {
    for (const [hash, run] of this.#runs) if (run.runId === runId) this.#runs.delete(hash)
  }

  find(token: string): TokenRun | undefined {
    const run = token.startsWith('run_') ? this.#runs.get(hashOf(token)) : undefined
    return run?.lives?.() === false ? undefined : run
  }
}

/** Tokens are 256 random bits: a plain hash is as good as a slow one, and a look-up by it tells nothing by its time. */
export const hashOf = (token: string): string => hash('sha256', token)
