/**
 * Orders of admins to agents of other machines: stop, pause, resume. An order waits until its runtime has answered it, also
 * while the machine is silent; a new one to the same agent replaces it.
 */

import { CageError } from '../../core/errors.ts'
import type { Order, OrderAction, OrderOutcome } from '../../protocol/control-messages.ts'
import { type Member, newId } from '../access/credentials.ts'
import { appendAudit } from '../db/audit-store.ts'
import type { PanelDatabase, Sql } from '../db/database.ts'
import { insert } from '../db/insert.ts'

export interface StoredOrder {
  id: string
  organization_id: string
  runtime_id: string
  agent_id: string
  action: OrderAction
  ordered_by: string
  ordered_at: number
  state: 'pending' | 'done' | 'failed' | 'replaced'
  answered_at: number | null
  /** The runtime's answer. */
  message: string | null
}

/** How long answered orders are kept, in ms; the audit has them for good. */
const RETENTION_MS = 7 * 24 * 3_600_000

export class Orders {
  readonly #database: PanelDatabase

  constructor(database: PanelDatabase) {
    this.#database = database
  }

  /** Throws CageError `not_found`, or `conflict` for a runtime that was removed: nothing reaches its agents. */
  async create(
    { organizationId, name: by }: Pick<Member, 'organizationId' | 'name'>,
    { runtimeId, agentId, action }: { runtimeId: string; agentId: string; action: OrderAction },
  ): Promise<StoredOrder> {
    const { dialect } = this.#database
    const order = await this.#database.within(organizationId, async (sql) => {
      const [runtime] = await sql.rows<{ name: string; revoked_at: number | null; now: number }>(
        `SELECT name, revoked_at, ${dialect.now} AS now FROM runtimes WHERE id = $1 AND organization_id = $2`,
        [runtimeId, organizationId],
      )
      if (!runtime) throw noRuntime(runtimeId)
      if (runtime.revoked_at !== null) throw unreachable(runtime.name, agentId)
      const given: StoredOrder = {
        ...{ id: newId('order'), organization_id: organizationId, runtime_id: runtimeId, agent_id: agentId, action },
        ...{ ordered_by: by, ordered_at: runtime.now, state: 'pending', answered_at: null, message: null },
      }
      await sql.rows(
        `UPDATE orders SET state = 'replaced', answered_at = $4
         WHERE organization_id = $1 AND runtime_id = $2 AND agent_id = $3 AND state = 'pending'`,
        [organizationId, runtimeId, agentId, runtime.now],
      )
      await sql.rows(
        `DELETE FROM orders WHERE organization_id = $1 AND state <> 'pending' AND answered_at < ${dialect.now} - ${RETENTION_MS}`,
        [organizationId],
      )
      await insert(sql, 'orders', [given])
      const details = { order_id: given.id, runtime_id: runtimeId, runtime: runtime.name }
      const entry = { organizationId, actor: by, action: `agent.${action}`, target: agentId, details }
      await appendAudit(sql, dialect, [entry])
      return given
    })
    await this.#database.announce(organizationId)
    return order
  }

  /** Records a runtime's result for one of its orders; repetitions have no effect. Throws CageError `not_found`. */
  async answer({ organizationId, id, name }: Member, orderId: string, { ok, message }: OrderOutcome): Promise<void> {
    const { dialect } = this.#database
    await this.#database.within(organizationId, async (sql) => {
      const [order] = await sql.rows<StoredOrder>(
        `SELECT * FROM orders WHERE organization_id = $1 AND runtime_id = $2 AND id = $3 ${dialect.forUpdate}`,
        [organizationId, id, orderId],
      )
      if (!order) throw new CageError('not_found', `there is no order "${orderId}" for this runtime`)
      if (order.state !== 'pending') return
      const state = ok ? 'done' : 'failed'
      await sql.rows(`UPDATE orders SET state = $2, answered_at = ${dialect.now}, message = $3 WHERE id = $1`, [
        ...[orderId, state, message],
      ])
      const details = { order_id: orderId, action: order.action, message }
      const entry = { organizationId, actor: name, action: `order.${state}`, target: order.agent_id, details }
      await appendAudit(sql, dialect, [entry])
    })
  }

  /** What runtimes have not answered, oldest first, by their ids. */
  async pending(sql: Sql, organizationId: string): Promise<Map<string, Order[]>> {
    const rows = await sql.rows<StoredOrder>(
      `SELECT * FROM orders WHERE organization_id = $1 AND state = 'pending' ORDER BY ordered_at, id`,
      [organizationId],
    )
    const orderOf = ({ id, agent_id, action, ordered_by: by }: StoredOrder): Order => ({ id, agent_id, action, by })
    const groups = Map.groupBy(rows, ({ runtime_id: runtimeId }) => runtimeId)
    return new Map([...groups].map(([runtimeId, own]) => [runtimeId, own.map(orderOf)]))
  }

  /** The last order of each agent, by its runtime's id and its own. */
  async last(organizationId: string): Promise<Map<string, StoredOrder>> {
    const rows = await this.#database.within(organizationId, (sql) =>
      sql.rows<StoredOrder>(
        `SELECT * FROM orders WHERE organization_id = $1 AND state <> 'replaced' ORDER BY ordered_at, id`,
        [organizationId],
      ),
    )
    return new Map(rows.map((row) => [orderKey(row.runtime_id, row.agent_id), row]))
  }
}

export const orderKey = (runtimeId: string, agentId: string): string => `${runtimeId} ${agentId}`

const noRuntime = (id: string): CageError =>
  new CageError('not_found', `there is no runtime "${id}"`, { hint: 'list them with "iron-cage runtimes list"' })

const unreachable = (name: string, agentId: string): CageError =>
  new CageError('conflict', `${name} was removed, so no order reaches ${agentId}`, {
    facts: { agent_id: agentId },
    hint: 'its agents make no call any more; stop them on that machine',
  })
