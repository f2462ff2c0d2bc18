/** An agent's process: whether it runs, why not, and the sandbox's refusals. */
import type { EventOf, RuntimeEvent } from '../../core/events.ts'
import type { AgentId } from '../../core/id-types.ts'
import { ZERO_USD } from '../../core/money.ts'
import type { AgentView } from '../snapshot.ts'

export function applyToLife(agent: AgentView, event: RuntimeEvent): AgentView {
  switch (event.type) {
    case 'agent.exited': {
      const { exit_code, signal, state, reason } = event.data
      return { ...agent, state, reason, exit_code, signal, pid: null, paused_at: null, ended_at: event.at }
    }
    case 'agent.stopped':
      return agent.pid === null ? agent : { ...agent, state: 'stopping', reason: event.data.reason }
    case 'agent.paused':
      return { ...agent, state: 'paused', paused_at: event.at }
    case 'agent.resumed':
      return { ...agent, state: 'running', paused_at: null, ...pausedUntil(agent, event.at) }
    case 'sandbox.denied': {
      const { denied } = agent.unauthorized
      const { action, target, count } = event.data
      return { ...agent, unauthorized: { ...agent.unauthorized, denied: denied + count, last: `${action} ${target}` } }
    }
    case 'egress.denied': {
      const { denied } = agent.unauthorized
      const { host, port, count } = event.data
      const last = `connect ${host}:${port}`
      return { ...agent, unauthorized: { ...agent.unauthorized, denied: denied + count, last } }
    }
    case 'sandbox.planted': {
      const { denied } = agent.unauthorized
      return { ...agent, unauthorized: { ...agent.unauthorized, denied: denied + 1, last: `leave ${event.data.path}` } }
    }
    case 'agent.bypassed': {
      const { bypassed } = agent.unauthorized
      const last = `connect ${event.data.target}`
      return { ...agent, unauthorized: { ...agent.unauthorized, bypassed: bypassed + event.data.count, last } }
    }
    default:
      return agent
  }
}

function pausedUntil({ paused_at: from, pauses }: AgentView, to: string): Pick<AgentView, 'pauses'> {
  if (from === null) return {}
  const ms = Math.max(0, Date.parse(to) - Date.parse(from))
  return { pauses: { total_ms: (pauses?.total_ms ?? 0) + ms, last: { from, to } } }
}

export function newAgent(id: AgentId, at: string, data: EventOf<'agent.started'>['data']): AgentView {
  const { run_id, name, script, environment, pid, limit_usd, safety_mode, detect, warn_at = [0.9] } = data
  return {
    id,
    name,
    script,
    environment,
    state: 'running',
    reason: null,
    run_id,
    pid,
    exit_code: null,
    signal: null,
    restarts: 0,
    started_at: at,
    paused_at: null,
    ended_at: null,
    down_ms: 0,
    safety_mode,
    detect,
    sandbox: data.sandbox ?? null,
    ...(data.strategy !== undefined && { strategy: data.strategy }),
    ...(data.tags !== undefined && { tags: data.tags }),
    unauthorized: { denied: 0, bypassed: 0, last: null },
    warn_at,
    limit_usd,
    spent_usd: ZERO_USD,
    run_spent_usd: ZERO_USD,
    period: null,
    warned: false,
    exhausted: false,
    by_model: {},
    by_service: {},
    downgraded_saved_usd: ZERO_USD,
    burn: [{ at: at, done: 0, spent_usd: ZERO_USD }],
    progress: null,
    outcomes: { succeeded: 0, failed: 0, degraded: 0 },
    calls: { completed: 0, failed: 0 },
    call_latency: {},
    unit_latency: {},
    pii: {},
    last_pii: null,
  }
}

/** The changes of a further run. */
export function restarted(agent: AgentView, event: EventOf<'agent.started'>): Partial<AgentView> {
  const downMs = agent.ended_at ? Math.max(0, Date.parse(event.at) - Date.parse(agent.ended_at)) : 0
  return {
    state: 'running',
    reason: null,
    run_id: event.data.run_id,
    run_spent_usd: ZERO_USD,
    pid: event.data.pid,
    exit_code: null,
    signal: null,
    paused_at: null,
    ended_at: null,
    restarts: event.data.restart,
    sandbox: event.data.sandbox ?? null,
    down_ms: agent.down_ms + downMs,
  }
}
