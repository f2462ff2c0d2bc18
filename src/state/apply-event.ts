/**
 * The only way the shared state changes: `applyEvent(snapshot, event)` returns the next snapshot and touches neither
 * argument. The server runs it after the event's row is committed, the browser when the event arrives. Free of Node.
 */
import type { BudgetView, EventOf, RuntimeEvent, SecretListed } from '../events.ts'
import { addUsd, fromUsd, toUsd, type Usd } from '../money.ts'
import {
  type AgentView,
  type AlertView,
  type BurnPoint,
  type CircuitView,
  type Histogram,
  MAX_AGENTS,
  MAX_ALERTS,
  MAX_BURN_POINTS,
  MAX_CIRCUITS,
  MAX_MODELS,
  MAX_RECENT_EVENTS,
  OTHER,
  type ServiceView,
  type Snapshot,
} from './snapshot.ts'

export function applyEvent(snapshot: Snapshot, event: RuntimeEvent): Snapshot {
  const next: Snapshot = {
    ...snapshot,
    seq: event.seq,
    at: event.at,
    recent: keepLast(snapshot.recent, withoutFacts(event), MAX_RECENT_EVENTS),
  }
  switch (event.type) {
    case 'server.started':
      next.server = { version: event.data.version, url: event.data.url, started_at: event.at }
      break
    case 'server.stopped':
      next.server = null
      break
    case 'budget.opened':
      next.run_limit_usd = event.data.run_limit_usd
      break
    case 'budget.raised':
      if (event.data.budget === 'run') next.run_limit_usd = event.data.limit_usd
      break
    case 'alert.raised': {
      const { alert_id, kind, title, detail, budget = null, circuit = null, source_seq } = event.data
      next.alerts = keepAlerts([
        {
          id: alert_id,
          kind,
          level: event.level,
          title,
          detail,
          at: event.at,
          agent_id: event.agent_id,
          budget,
          circuit,
          source_seq,
          acknowledged: false,
          delivered: [],
          failed: [],
        },
        ...snapshot.alerts,
      ])
      break
    }
    case 'alert.acknowledged':
    case 'alert.delivered':
    case 'alert.failed':
      next.alerts = snapshot.alerts.map((alert) =>
        alert.id === event.data.alert_id ? applyToAlert(alert, event) : alert,
      )
      break
  }
  next.server_budget = applyToServerBudget(snapshot.server_budget, event)
  next.circuits = applyToCircuits(snapshot.circuits, event)
  next.vault = applyToVault(snapshot.vault, event)
  next.secrets = applyToSecrets(snapshot.secrets, event)
  next.agents = applyToAgents(snapshot.agents, event)
  return next
}

/** Two hundred of them would be megabytes in everybody's first frame. */
function withoutFacts(event: RuntimeEvent): RuntimeEvent {
  if (event.type !== 'agent.output' || !event.data.facts) return event
  const { facts: _facts, ...data } = event.data
  return { ...event, data }
}

/** Newest first. The oldest that is acknowledged goes, or else the oldest of the kind that has most: none floods the rest. */
function keepAlerts(alerts: AlertView[]): AlertView[] {
  if (alerts.length <= MAX_ALERTS) return alerts
  const counts = new Map<string, number>()
  for (const { kind } of alerts) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  const most = Math.max(...counts.values())
  const dropped =
    alerts.findLast(({ acknowledged }) => acknowledged) ?? alerts.findLast(({ kind }) => counts.get(kind) === most)
  return alerts.filter((alert) => alert !== dropped)
}

function applyToAlert(
  alert: AlertView,
  event: EventOf<'alert.acknowledged' | 'alert.delivered' | 'alert.failed'>,
): AlertView {
  if (event.type === 'alert.acknowledged') return { ...alert, acknowledged: true }
  const { channel } = event.data
  const failed = alert.failed.filter((other) => other.channel !== channel)
  return event.type === 'alert.delivered'
    ? { ...alert, delivered: [...alert.delivered, channel], failed }
    : { ...alert, failed: [...failed, { channel, error: event.data.error }] }
}

function applyToServerBudget(budget: BudgetView | null, event: RuntimeEvent): BudgetView | null {
  if (event.type === 'budget.opened') return event.data.server
  if (!budget) return null
  switch (event.type) {
    case 'budget.raised':
      return event.data.budget === 'server' ? { ...budget, limit_usd: event.data.limit_usd } : budget
    case 'budget.period_began':
      return event.agent_id === null ? { ...budget, period: event.data } : budget
    case 'call.completed':
    case 'call.failed':
    case 'service.called':
    case 'call.resolved':
      return { ...budget, spent_usd: addUsd(budget.spent_usd, event.data.cost_usd) }
    case 'call.corrected':
      return {
        ...budget,
        spent_usd: addUsd(budget.spent_usd, event.data.difference_usd),
        period: correctedPeriod(budget.period, event),
      }
    default:
      return budget
  }
}

/** What was charged before a period is corrected before it. */
function correctedPeriod(period: BudgetView['period'], { data }: EventOf<'call.corrected'>): BudgetView['period'] {
  if (!period || data.charged_at >= period.starts_at) return period
  return { ...period, spent_before_usd: addUsd(period.spent_before_usd, data.difference_usd) }
}

/** What stands under a name. Agents choose names, and "constructor" is on every object. */
const own = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

function applyToVault(vault: Snapshot['vault'], event: RuntimeEvent): Snapshot['vault'] {
  if (event.type === 'vault.opened') return { state: 'open', hint: null }
  return event.type === 'vault.locked' ? { state: 'locked', hint: event.data.hint } : vault
}

function applyToSecrets(secrets: Snapshot['secrets'], event: RuntimeEvent): Snapshot['secrets'] {
  switch (event.type) {
    // What its table says, also when its events are forgotten.
    case 'vault.opened':
    case 'vault.locked':
      return Object.fromEntries(event.data.secrets.map((secret) => [secret.id, secret]))
    case 'secret.created':
    case 'secret.updated':
    case 'secret.deleted':
    case 'secret.restored': {
      const { secret_id: id, name, environment, version, masked } = event.data
      const before = own(secrets, id)
      const secret: SecretListed = {
        id,
        name,
        environment,
        version,
        masked,
        created_at: before?.created_at ?? event.at,
        updated_at: event.at,
        rotated_at: event.type === 'secret.updated' ? event.at : (before?.rotated_at ?? null),
        deleted_at: event.type === 'secret.deleted' ? event.at : null,
      }
      return { ...secrets, [id]: secret }
    }
    default:
      return secrets
  }
}

function applyToCircuits(circuits: Snapshot['circuits'], event: RuntimeEvent): Snapshot['circuits'] {
  const change = (name: string, update: (circuit: CircuitView) => Partial<CircuitView>) => {
    const known = own(circuits, name)
    const circuit = known ?? newCircuit(name)
    return { ...(known ? circuits : withRoom(circuits)), [name]: { ...circuit, ...update(circuit) } }
  }
  switch (event.type) {
    case 'circuit.opened':
      return change(event.data.circuit, ({ trips, last_trip_at, state }) => {
        const forced = event.data.by !== undefined
        // A failed probe prolongs a trip; it is not another one.
        const isTrip = !forced && state !== 'half_open'
        return {
          state: 'open',
          opened_at: event.at,
          cooldown_ms: event.data.cooldown_ms,
          reason: event.data.reason,
          forced,
          trips: isTrip ? trips + 1 : trips,
          last_trip_at: isTrip ? event.at : last_trip_at,
        }
      })
    case 'circuit.half_opened':
      return change(event.data.circuit, () => ({ state: 'half_open' }))
    case 'circuit.closed':
      return change(event.data.circuit, () => ({
        state: 'closed',
        opened_at: null,
        cooldown_ms: 0,
        reason: null,
        forced: false,
      }))
    case 'call.completed':
      return own(circuits, event.data.provider) ? circuits : change(event.data.provider, () => ({}))
    case 'call.failed':
      return event.data.circuit === undefined
        ? circuits
        : change(event.data.circuit, ({ blocked, unanswered }) => ({
            blocked: blocked + 1,
            unanswered: unanswered + (event.data.falls_back ? 0 : 1),
          }))
    case 'service.called':
      return change(event.data.service, ({ blocked, saved_usd, unanswered }) => ({
        blocked: blocked + (event.data.blocked ? 1 : 0),
        saved_usd: event.data.blocked ? addUsd(saved_usd, event.data.saved_usd) : saved_usd,
        unanswered: unanswered + (event.data.tier === null && event.data.status !== CLIENT_GONE ? 1 : 0),
      }))
    case 'fallback.used':
      return change(event.data.service, ({ fallbacks }) => ({ fallbacks: fallbacks + 1 }))
    default:
      return circuits
  }
}

/** Names come from agents. One that was never in trouble is missed least, then one that is closed. */
function withRoom(circuits: Snapshot['circuits']): Snapshot['circuits'] {
  const all = Object.values(circuits)
  if (all.length < MAX_CIRCUITS) return circuits
  const closed = all.filter(({ state }) => state === 'closed')
  const { [(closed.find(({ trips }) => trips === 0) ?? closed[0] ?? all[0]!).name]: _dropped, ...kept } = circuits
  return kept
}

/** What is noted of a call whose client left. */
const CLIENT_GONE = 499

const newCircuit = (name: string): CircuitView => ({
  name,
  state: 'closed',
  opened_at: null,
  cooldown_ms: 0,
  forced: false,
  trips: 0,
  last_trip_at: null,
  blocked: 0,
  saved_usd: '0',
  fallbacks: 0,
  unanswered: 0,
  reason: null,
})

/** Also used for agents that are in no snapshot any more. */
export function applyToAgents(agents: Snapshot['agents'], event: RuntimeEvent): Snapshot['agents'] {
  if (event.type === 'config.loaded' && event.data.safety) return guardedBy(agents, event.data.safety)
  if (!event.agent_id) return agents
  const agent = own(agents, event.agent_id)
  if (event.type === 'agent.started') {
    return agent
      ? { ...agents, [agent.id]: { ...agent, ...restarted(agent, event) } }
      : keepNewest({ ...agents, [event.agent_id]: newAgent(event.agent_id, event.at, event.data) })
  }
  if (!agent) return agents
  const changed = applyToRun(applyToBurn(agent, applyToAgent(agent, event), event.at), event)
  return changed === agent ? agents : { ...agents, [agent.id]: changed }
}

/** An agent that reports no progress has a point for everything that it pays. */
function applyToBurn(before: AgentView, agent: AgentView, at: string): AgentView {
  if (agent.progress || agent.spent_usd === before.spent_usd) return agent
  return { ...agent, burn: addBurnPoint(agent.burn, burnPoint(agent, at, agent.burn.at(-1)!.done + 1)) }
}

/** A call of an earlier run may be recorded late; it is none of the present one. */
function applyToRun(agent: AgentView, event: RuntimeEvent): AgentView {
  const add = (runId: string | undefined, usd: Usd) =>
    runId === agent.run_id ? { ...agent, run_spent_usd: addUsd(agent.run_spent_usd, usd) } : agent
  switch (event.type) {
    case 'call.completed':
    case 'call.failed':
    case 'service.called':
      return add(event.data.run_id, event.data.cost_usd)
    case 'call.corrected':
      return add(event.data.run_id, event.data.difference_usd)
    default:
      return agent
  }
}

/** A new policy holds for every agent that is still there. */
const guardedBy = (
  agents: Snapshot['agents'],
  { mode, detect }: NonNullable<EventOf<'config.loaded'>['data']['safety']>,
): Snapshot['agents'] =>
  Object.fromEntries(
    Object.entries(agents).map(([id, agent]) => [
      id,
      agent.ended_at === null ? { ...agent, safety_mode: mode, detect } : agent,
    ]),
  )

function applyToAgent(agent: AgentView, event: RuntimeEvent): AgentView {
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
      return { ...agent, state: 'running', paused_at: null }
    case 'sandbox.denied': {
      const { denied } = agent.unauthorized
      const { action, target, count } = event.data
      return { ...agent, unauthorized: { ...agent.unauthorized, denied: denied + count, last: `${action} ${target}` } }
    }
    case 'agent.bypassed': {
      const { bypassed } = agent.unauthorized
      const last = `connect ${event.data.target}`
      return { ...agent, unauthorized: { ...agent.unauthorized, bypassed: bypassed + event.data.count, last } }
    }
    case 'progress.updated': {
      const { done, total, unit, label } = event.data
      const progress = { done, total, unit, label, first_at: agent.progress?.first_at ?? event.at, last_at: event.at }
      const moved = done !== agent.progress?.done
      const burn = agent.progress ? agent.burn : agent.burn.slice(0, 1)
      return { ...agent, progress, burn: moved ? addBurnPoint(burn, burnPoint(agent, event.at, done)) : burn }
    }
    case 'unit.completed': {
      const { outcome, degraded, latency_ms } = event.data
      const { outcomes } = agent
      return {
        ...agent,
        outcomes: {
          ...outcomes,
          [outcome]: outcomes[outcome] + 1,
          degraded: outcomes.degraded + (degraded ? 1 : 0),
        },
        unit_latency: latency_ms === null ? agent.unit_latency : observe(agent.unit_latency, latency_ms),
      }
    }
    case 'call.completed':
      return callCompleted(agent, event)
    case 'call.failed':
      return {
        ...agent,
        spent_usd: addUsd(agent.spent_usd, event.data.cost_usd),
        by_model: addToModel(agent.by_model, event.data.model, event.data.cost_usd, 0, 0, 0),
        calls: { ...agent.calls, failed: agent.calls.failed + 1 },
      }
    case 'service.called':
      return {
        ...agent,
        spent_usd: addUsd(agent.spent_usd, event.data.cost_usd),
        by_service: {
          ...agent.by_service,
          [event.data.service]: addToService(own(agent.by_service, event.data.service), event),
        },
      }
    case 'call.corrected': {
      const { difference_usd } = event.data
      return { ...addCost(agent, event.data, difference_usd), period: correctedPeriod(agent.period, event) }
    }
    case 'call.resolved':
      return addCost(agent, event.data, event.data.cost_usd)
    // A run's budget or the server's leaves the agent's own as it is.
    case 'budget.warned':
      return event.data.budget ? agent : { ...agent, warned: true }
    case 'budget.exhausted':
      return event.data.budget ? agent : { ...agent, exhausted: true }
    case 'budget.period_began':
      return agent.period?.starts_at === event.data.starts_at
        ? agent
        : { ...agent, period: event.data, warned: false, exhausted: false }
    case 'budget.raised':
      return { ...agent, limit_usd: event.data.limit_usd, warned: false, exhausted: false }
    case 'pii.found': {
      const { pii_type, action, unit, count = 1 } = event.data
      return {
        ...agent,
        pii: { ...agent.pii, [pii_type]: (agent.pii[pii_type] ?? 0) + count },
        last_pii: { pii_type, action, at: event.at, unit },
      }
    }
    default:
      return agent
  }
}

export function newAgent(id: string, at: string, data: EventOf<'agent.started'>['data']): AgentView {
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
    unauthorized: { denied: 0, bypassed: 0, last: null },
    warn_at,
    limit_usd,
    spent_usd: '0',
    run_spent_usd: '0',
    period: null,
    warned: false,
    exhausted: false,
    by_model: {},
    by_service: {},
    downgraded_saved_usd: '0',
    burn: [{ at: at, done: 0, spent_usd: '0' }],
    progress: null,
    outcomes: { succeeded: 0, failed: 0, degraded: 0 },
    calls: { completed: 0, failed: 0 },
    call_latency: {},
    unit_latency: {},
    pii: {},
    last_pii: null,
  }
}

function restarted(agent: AgentView, event: EventOf<'agent.started'>): Partial<AgentView> {
  const downMs = agent.ended_at ? Math.max(0, Date.parse(event.at) - Date.parse(agent.ended_at)) : 0
  return {
    state: 'running',
    reason: null,
    run_id: event.data.run_id,
    run_spent_usd: '0',
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

function callCompleted(agent: AgentView, event: EventOf<'call.completed'>): AgentView {
  const { model, cost_usd, baseline_usd, input_tokens, output_tokens, latency_ms } = event.data
  return {
    ...agent,
    spent_usd: addUsd(agent.spent_usd, cost_usd),
    by_model: addToModel(agent.by_model, model, cost_usd, input_tokens, output_tokens, 1),
    downgraded_saved_usd: baseline_usd
      ? toUsd(fromUsd(agent.downgraded_saved_usd) + Math.max(0, fromUsd(baseline_usd) - fromUsd(cost_usd)))
      : agent.downgraded_saved_usd,
    calls: { ...agent.calls, completed: agent.calls.completed + 1 },
    call_latency: observe(agent.call_latency, latency_ms),
  }
}

function addToModel(
  models: AgentView['by_model'],
  asked: string,
  cost: Usd,
  inputTokens: number,
  outputTokens: number,
  calls: 0 | 1,
): AgentView['by_model'] {
  const model = own(models, asked) || Object.keys(models).length < MAX_MODELS ? asked : OTHER
  const before = own(models, model)
  // A failed call that cost nothing leaves no trace among the costs.
  if (!before && calls === 0 && fromUsd(cost) === 0) return models
  return {
    ...models,
    [model]: {
      calls: (before?.calls ?? 0) + calls,
      cost_usd: addUsd(before?.cost_usd ?? '0', cost),
      input_tokens: (before?.input_tokens ?? 0) + inputTokens,
      output_tokens: (before?.output_tokens ?? 0) + outputTokens,
    },
  }
}

/** Counts money that is no new call, where its call was counted. */
function addCost(agent: AgentView, { target, model }: { target: string; model: string | null }, cost: Usd): AgentView {
  const spent_usd = addUsd(agent.spent_usd, cost)
  if (model !== null) return { ...agent, spent_usd, by_model: addToModel(agent.by_model, model, cost, 0, 0, 0) }
  const service = own(agent.by_service, target) ?? NO_SERVICE_CALLS
  const changed = { ...service, cost_usd: addUsd(service.cost_usd, cost) }
  return { ...agent, spent_usd, by_service: { ...agent.by_service, [target]: changed } }
}

const NO_SERVICE_CALLS: ServiceView = {
  calls: 0,
  cost_usd: '0',
  live: 0,
  cached: 0,
  placeholder: 0,
  failed: 0,
  blocked: 0,
  saved_usd: '0',
}

const TIERS = { 1: 'live', 2: 'cached', 3: 'placeholder' } as const

function addToService(before: ServiceView | undefined, event: EventOf<'service.called'>): ServiceView {
  const { tier, blocked, cost_usd, saved_usd } = event.data
  const service = before ?? NO_SERVICE_CALLS
  const answered = tier === null ? 'failed' : TIERS[tier]
  return {
    ...service,
    calls: service.calls + 1,
    cost_usd: addUsd(service.cost_usd, cost_usd),
    [answered]: service[answered] + 1,
    blocked: service.blocked + (blocked ? 1 : 0),
    saved_usd: addUsd(service.saved_usd, saved_usd),
  }
}

const burnPoint = (agent: AgentView, at: string, done: number): BurnPoint => ({ at, done, spent_usd: agent.spent_usd })

/**
 * Halves the resolution when full. From then on the last point moves along until it is as far from the one before as
 * the early ones are from each other, so that the curve is even over its whole length.
 */
function addBurnPoint(points: BurnPoint[], point: BurnPoint): BurnPoint[] {
  const kept = points.length < MAX_BURN_POINTS ? points : points.filter((_, index) => index % 2 === 0)
  const [, second, third] = kept
  const [before, last] = kept.slice(-2)
  const isEarly = kept.length < MAX_BURN_POINTS / 2 || !second || !third || !before || !last
  const moves = !isEarly && last.done - before.done < third.done - second.done
  return moves ? kept.with(-1, point) : [...kept, point]
}

const BUCKET_BASE = Math.log(1.05)

function observe(histogram: Histogram, value: number): Histogram {
  const bucket = Math.floor(Math.log(Math.max(1, value)) / BUCKET_BASE)
  return { ...histogram, [bucket]: (histogram[bucket] ?? 0) + 1 }
}

/** The value below which `share` (0–1) of the observations lie, or null without any. */
export function percentile(histogram: Histogram, share: number): number | null {
  const buckets = Object.entries(histogram)
    .map(([bucket, count]) => [Number(bucket), count] as const)
    .sort((a, b) => a[0] - b[0])
  const total = buckets.reduce((sum, [, count]) => sum + count, 0)
  let left = Math.ceil(total * share)
  for (const [bucket, count] of buckets) {
    left -= count
    if (left <= 0) return Math.exp((bucket + 0.5) * BUCKET_BASE)
  }
  return null
}

function keepLast<T>(items: readonly T[], item: T, most: number): T[] {
  const kept = items.slice(1 - most)
  kept.push(item)
  return kept
}

function keepNewest(agents: Snapshot['agents']): Snapshot['agents'] {
  const all = Object.values(agents)
  if (all.length <= MAX_AGENTS) return agents
  const oldestEnded = all.find((agent) => agent.ended_at !== null)
  if (!oldestEnded) return agents
  const { [oldestEnded.id]: _dropped, ...kept } = agents
  return kept
}
