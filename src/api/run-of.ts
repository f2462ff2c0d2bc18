/** What the routes for running agents stand on: the parts they are given, and the run that asks. */
import type { Context } from 'hono'
import type { ApiTokens } from '../access/api-tokens.ts'
import type { AgentIdentity } from '../access/roles.ts'
import type { RunTokens } from '../access/run-tokens.ts'
import type { Circuits } from '../breaker/circuits.ts'
import type { Ledger } from '../budget/ledger.ts'
import type { Money } from '../budget/open-money.ts'
import type { Clock } from '../clock.ts'
import type { CheckpointTable } from '../db/checkpoints.ts'
import { CageError } from '../errors.ts'
import type { ServiceParts } from '../gateway/run-service-call.ts'
import type { Upstream } from '../gateway/upstream.ts'
import type { Incidents } from '../redaction/incidents.ts'
import type { Redactor } from '../redaction/redactor.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { Rotation } from '../vault/rotation.ts'
import type { Env } from './guard.ts'

export interface RunParts {
  clock: Clock
  state: StateManager
  ledger: Ledger
  money: Money
  checkpoints: CheckpointTable
  redactor: Redactor
  /** For what is written and shown: takes out everything that is detected. */
  logRedactor: Redactor
  incidents: Incidents
  runTokens: RunTokens
  apiTokens: ApiTokens
  circuits: Circuits
  /** config.services */
  services: ServiceParts['services']
  upstream: Upstream
  rotation: Rotation
}

/** The run that asks. Throws CageError `forbidden` for anybody else. */
export function runOf(context: Context<Env>): AgentIdentity['run'] {
  const identity = context.get('identity')
  if (identity.role !== 'agent') throw new CageError('forbidden', 'this is for running agents')
  return identity.run
}
