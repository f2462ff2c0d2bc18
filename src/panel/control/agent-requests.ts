/**
 * Agents ask for more of a budget, through the runtime that they run on; people decide (`requests.ts`). An agent names no
 * budget: it asks for the one of its own path that has the least left, and so for no other.
 */

import { isoTime } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { type Nanodollars, subtract, toUsd } from '../../core/money.ts'
import type { AgentRequest } from '../../protocol/control-messages.ts'
import type { CallerNames } from '../../protocol/lease-messages.ts'
import type { Member } from '../access/credentials.ts'
import { SHARED_SCOPES } from '../bank/bank.ts'
import { balanceOf, type StoredBudget, type StoredPeriod } from '../bank/bank-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'
import { pendingRequest, type StoredRequest } from './requests.ts'

/** Requests that wait: of one agent, of all agents of a runtime, and of all agents of the organization. */
const MAX_PENDING_OF_AGENT = 3
const MAX_PENDING_OF_RUNTIME = 20
const MAX_PENDING = 100

export interface AgentAsk {
  /** Whose calls pay: the agent's name, and that of its API token; null without one. */
  names: CallerNames & { agent: string }
  amount: Nanodollars
  reason: string
}

export class AgentRequests {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /**
   * Returns the request, or the waiting one if it was asked before. Throws CageError `conflict` when too many wait, or
   * `runtime_revoked`.
   */
  ask({ organizationId, id: runtimeId, name: runtime }: Member, ask: AgentAsk): Promise<AgentRequest> {
    const { names, amount, reason } = ask
    const { dialect } = this.#database
    const asked_by = askerName(names.agent, runtime)
    return this.#database.within(organizationId, async (sql) => {
      // Requests of one runtime take turns here, so that none is made twice.
      const [machine] = await sql.rows<{ path: string; now: number }>(
        `SELECT path, ${dialect.now} AS now FROM runtimes
         WHERE organization_id = $1 AND id = $2 AND revoked_at IS NULL ${dialect.forUpdate}`,
        [organizationId, runtimeId],
      )
      if (!machine) throw new CageError('runtime_revoked', 'this runtime was removed from its Control Panel')
      const pending = await sql.rows<StoredRequest>(
        `SELECT * FROM requests WHERE organization_id = $1 AND state = 'pending'
         AND asked_with IN (SELECT id FROM runtimes WHERE organization_id = $1)`,
        [organizationId],
      )
      const ofRuntime = pending.filter(({ asked_with }) => asked_with === runtimeId)
      const own = ofRuntime.filter((row) => row.asked_by === asked_by)
      const same = own.find((row) => row.amount_nanos === amount && row.reason === reason)
      if (same) return viewOf(same)
      requireRoom([
        [own, MAX_PENDING_OF_AGENT, 'this agent'],
        [ofRuntime, MAX_PENDING_OF_RUNTIME, 'agents of this machine'],
        [pending, MAX_PENDING, 'agents'],
      ])
      const { scope, name } = await this.#scarcest(sql, organizationId, { ...machine, names })
      const asker = { asked_by, asked_with: runtimeId, asked_at: machine.now }
      const request = pendingRequest({ organization_id: organizationId, scope, name, amount, reason, ...asker })
      await insert(sql, 'requests', [request])
      return viewOf(request)
    })
  }

  /** Throws CageError `not_found`, also for one of another agent. */
  async find({ organizationId, id: runtimeId, name: runtime }: Member, agent: string, id: string) {
    const [request] = await this.#database.within(organizationId, (sql) =>
      sql.rows<StoredRequest>(
        'SELECT * FROM requests WHERE organization_id = $1 AND id = $2 AND asked_with = $3 AND asked_by = $4',
        [organizationId, id, runtimeId, askerName(agent, runtime)],
      ),
    )
    if (request) return viewOf(request)
    throw new CageError('not_found', `${agent} has no request "${id}"`)
  }

  /** The budget that pays for the agent's calls and has the least that is not spent; of several the narrowest. */
  async #scarcest(
    sql: Sql,
    organizationId: string,
    { path, now, names }: { path: string; now: number; names: CallerNames },
  ): Promise<StoredBudget> {
    const budgets = await sql.rows<StoredBudget>(
      `SELECT * FROM budgets WHERE organization_id = $1
       AND (${this.#database.dialect.isIn('id', '$2')} OR scope = 'agent' AND name = $3 OR scope = 'token' AND name = $4)`,
      [organizationId, path, names.agent, names.token],
    )
    const rows = await sql.rows<StoredPeriod>(
      'SELECT * FROM budget_periods WHERE organization_id = $1 AND ends_at > $2',
      [organizationId, now],
    )
    const periods = new Map(rows.map((row) => [row.id, row]))
    const unspentOf = (budget: StoredBudget) =>
      subtract(budget.limit_nanos, balanceOf(budget, periods, now).settled_nanos)
    const fromNarrow = budgets.sort((a, b) => SHARED_SCOPES.indexOf(b.scope) - SHARED_SCOPES.indexOf(a.scope))
    return fromNarrow.reduce((least, budget) => (unspentOf(budget) < unspentOf(least) ? budget : least))
  }
}

/** Names of runtimes are of one machine each. */
const askerName = (agent: string, runtime: string): string => `${agent} on ${runtime}`

/** Throws CageError `conflict`. */
function requireRoom(bounds: readonly (readonly [readonly StoredRequest[], number, string])[]): void {
  const full = bounds.find(([waiting, max]) => waiting.length >= max)
  if (!full) return
  const [, max, whose] = full
  throw new CageError('conflict', `${max} requests of ${whose} wait for a decision`, {
    hint: 'an admin decides on those of "iron-cage requests list"',
  })
}

const viewOf = ({ id, scope, name, amount_nanos, reason, asked_at, state, decision }: StoredRequest): AgentRequest => ({
  ...{ id, budget: `${scope} ${name}`, add_usd: toUsd(amount_nanos), reason },
  ...{ asked_at: isoTime(asked_at), state, decision },
})
