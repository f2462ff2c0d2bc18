/** An agent of another machine as people see it. */
import * as z from 'zod'
import { count, named, type Shape, time, usd } from '../http/route.ts'
import { spentOfLimit } from '../state/figures.ts'
import type { AgentView, Snapshot } from '../state/snapshot.ts'
import { orderView } from './control/control-routes.ts'
import type { FleetAgentView, OrderView } from './fleet-view.ts'

const STATES = [
  'starting',
  'running',
  'paused',
  'stopping',
  'completed',
  'stopped',
  'failed',
  'crash_loop',
  'budget_stopped',
  'blocked',
] as const

export const agentView = named('AgentOfFleet', () =>
  z.object({
    id: z.string(),
    name: z.string(),
    state: z.enum(STATES),
    reason: z.string().nullable(),
    started_at: time(),
    ended_at: time().nullable(),
    work: z.object({ done: z.number(), total: z.number().nullable(), unit: z.string() }).nullable(),
    calls: count(),
    spent_usd: usd(),
    limit_usd: usd(),
    order: orderView().nullable(),
  } satisfies Shape<FleetAgentView>),
)

/** Newest first. Reports in another form, of a runtime of another version or a broken one, are left out. */
export const agentsOf = ({ agents }: Snapshot, orderOf: (agentId: string) => OrderView | null): FleetAgentView[] =>
  Object.values(agents)
    .flatMap((agent) => readableViewOf(agent, orderOf(agent.id)) ?? [])
    .reverse()

function readableViewOf(agent: AgentView, order: OrderView | null): FleetAgentView | undefined {
  try {
    const view = viewOf(agent, order)
    agentView().parse(view)
    return view
  } catch {
    return undefined
  }
}

const viewOf = (agent: AgentView, order: OrderView | null): FleetAgentView => ({
  id: agent.id,
  name: agent.name,
  state: agent.state,
  reason: agent.reason,
  started_at: agent.started_at,
  ended_at: agent.ended_at,
  work: agent.progress && { done: agent.progress.done, total: agent.progress.total, unit: agent.progress.unit },
  calls: agent.calls.completed + agent.calls.failed,
  spent_usd: spentOfLimit(agent),
  limit_usd: agent.limit_usd,
  order,
})
