/** An organization's rows as people see them. */

import { isoTime } from '../core/clock.ts'
import { add, max, type Nanodollars, subtract, toUsd, ZERO_NANOS } from '../core/money.ts'
import { agentsOf } from './agent-view.ts'
import { escrowOf } from './bank/bank.ts'
import { leaseOf, type StoredBudget, type StoredLease, type StoredRuntime } from './bank/bank-store.ts'
import type { Fleet } from './bank/budgets.ts'
import { orderViewOf } from './control/control-routes.ts'
import type { Orders } from './control/orders.ts'
import { orderKey, type StoredOrder } from './control/orders.ts'
import type { FleetView, LeaseView, RuntimeView, SharedBudgetView } from './fleet-view.ts'
import type { PanelTelemetry, RuntimeState } from './telemetry/telemetry.ts'

/** A runtime without a message for this long is silent, in ms. */
const SILENT_MS = 10_000

export async function viewOf(
  { fleet, telemetry, orders }: { fleet: Fleet; telemetry: PanelTelemetry; orders: Orders },
  organizationId: string,
): Promise<FleetView> {
  const { organization, coverS, now, budgets, runtimes, leases } = await fleet.read(organizationId)
  const reconcilingUntil = await fleet.reconcilingUntil()
  const states = await telemetry.states(organizationId)
  const last = await orders.last(organizationId)
  const leasesOf = Map.groupBy(leases, ({ runtime_id }) => runtime_id)
  return {
    organization,
    cover_s: coverS,
    server_time: isoTime(now),
    reconciling_until: reconcilingUntil === null ? null : isoTime(reconcilingUntil),
    budgets: budgets.map(budgetViewOf),
    runtimes: runtimes.map((runtime) =>
      runtimeViewOf(runtime, leasesOf.get(runtime.id) ?? [], states.get(runtime.id), { now, orders: last }),
    ),
  }
}

const budgetViewOf = (row: StoredBudget & { ends_at: number | null }): SharedBudgetView => ({
  scope: row.scope,
  name: row.name,
  period: row.period,
  ends_at: row.ends_at === null ? null : isoTime(row.ends_at),
  limit_usd: toUsd(row.limit_nanos),
  settled_usd: toUsd(row.settled_nanos),
  lent_usd: toUsd(row.escrow_nanos),
  free_usd: toUsd(max(ZERO_NANOS, subtract(row.limit_nanos, add(row.settled_nanos, row.escrow_nanos)))),
})

function runtimeViewOf(
  row: StoredRuntime,
  leases: readonly StoredLease[],
  told: RuntimeState | undefined,
  { now, orders }: { now: number; orders: ReadonlyMap<string, StoredOrder> },
): RuntimeView {
  const lent: Nanodollars = add(...leases.map((lease) => escrowOf(leaseOf(lease))))
  const lag = row.last_seen_at === null ? null : Math.max(0, now - row.last_seen_at)
  const state = row.revoked_at !== null ? 'revoked' : lag !== null && lag <= SILENT_MS ? 'connected' : 'silent'
  return {
    id: row.id,
    name: row.name,
    version: row.version,
    environments: JSON.parse(row.environments) as string[],
    state,
    joined_at: isoTime(row.joined_at),
    last_seen_at: row.last_seen_at === null ? null : isoTime(row.last_seen_at),
    lag_ms: lag,
    lent_usd: toUsd(lent),
    leases: leases.map(leaseViewOf),
    agents: told
      ? agentsOf(told.snapshot, (agentId) => {
          const order = orders.get(orderKey(row.id, agentId))
          return order ? orderViewOf(order) : null
        })
      : [],
    lost_events: told?.lost ?? 0,
  }
}

const leaseViewOf = (row: StoredLease): LeaseView => ({
  id: row.id,
  state: row.state,
  granted_usd: toUsd(row.granted_nanos),
  used_usd: toUsd(row.used_nanos),
  returned_usd: toUsd(row.returned_nanos),
  held_usd: toUsd(row.held_nanos),
  lent_usd: toUsd(escrowOf(leaseOf(row))),
  expires_at: isoTime(row.expires_at),
})
