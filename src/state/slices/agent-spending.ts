/** The cost of an agent's calls, and the rest of its limits. */
import type { EventOf, RuntimeEvent } from '../../core/events.ts'
import { addUsd, fromUsd, max, subtract, toUsd, type Usd, ZERO_NANOS, ZERO_USD } from '../../core/money.ts'
import { observe } from '../histogram.ts'
import { own } from '../own.ts'
import { type AgentView, MAX_MODELS, OTHER, type ServiceView } from '../snapshot.ts'
import { charged } from './budgets.ts'
import { addBurnPoint, burnPoint } from './burn.ts'

export const applyToSpending = (agent: AgentView, event: RuntimeEvent): AgentView =>
  applyToRun(applyToBurn(agent, applyToBudget(charged(applyToCalls(agent, event), event), event), event.at), event)

function applyToCalls(agent: AgentView, event: RuntimeEvent): AgentView {
  switch (event.type) {
    case 'call.completed':
      return callCompleted(agent, event)
    case 'call.failed':
      return {
        ...agent,
        spent_usd: addUsd(agent.spent_usd, event.data.cost_usd),
        by_model: addToModel(
          agent.by_model,
          event.data.model,
          event.data.cost_usd,
          fromUsd(event.data.cost_usd) > 0 ? 1 : 0,
        ),
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
    case 'call.corrected':
      return addCost(agent, event.data, event.data.difference_usd, 0)
    case 'call.resolved':
      return addCost(agent, event.data, event.data.cost_usd, event.data.outcome === 'charged' ? 1 : 0)
    default:
      return agent
  }
}

function applyToBudget(agent: AgentView, event: RuntimeEvent): AgentView {
  switch (event.type) {
    // The budget of a run or of the server does not change the agent's own.
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
    default:
      return agent
  }
}

/** An agent that reports no progress gets one point per payment. */
function applyToBurn(before: AgentView, agent: AgentView, at: string): AgentView {
  if (agent.progress || agent.spent_usd === before.spent_usd) return agent
  return { ...agent, burn: addBurnPoint(agent.burn, burnPoint(agent, at, agent.burn.at(-1)!.done + 1)) }
}

/** A call of an earlier run may be recorded late; it does not count toward the current one. */
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

function callCompleted(agent: AgentView, event: EventOf<'call.completed'>): AgentView {
  const { model, cost_usd, baseline_usd, input_tokens, output_tokens, latency_ms } = event.data
  return {
    ...agent,
    spent_usd: addUsd(agent.spent_usd, cost_usd),
    by_model: addToModel(agent.by_model, model, cost_usd, 1, { input: input_tokens, output: output_tokens }),
    downgraded_saved_usd: baseline_usd
      ? addUsd(agent.downgraded_saved_usd, toUsd(max(ZERO_NANOS, subtract(fromUsd(baseline_usd), fromUsd(cost_usd)))))
      : agent.downgraded_saved_usd,
    calls: { ...agent.calls, completed: agent.calls.completed + 1 },
    call_latency: observe(agent.call_latency, latency_ms),
  }
}

function addToModel(
  models: AgentView['by_model'],
  requested: string,
  cost: Usd,
  calls: 0 | 1,
  tokens = { input: 0, output: 0 },
): AgentView['by_model'] {
  const model = own(models, requested) || Object.keys(models).length < MAX_MODELS ? requested : OTHER
  const before = own(models, model)
  // A failed call that cost nothing does not appear among the costs.
  if (!before && calls === 0 && fromUsd(cost) === 0) return models
  return {
    ...models,
    [model]: {
      calls: (before?.calls ?? 0) + calls,
      cost_usd: addUsd(before?.cost_usd ?? ZERO_USD, cost),
      input_tokens: (before?.input_tokens ?? 0) + tokens.input,
      output_tokens: (before?.output_tokens ?? 0) + tokens.output,
    },
  }
}

/** Adds money to the entry of its call. */
function addCost(
  agent: AgentView,
  { target, model }: { target: string; model: string | null },
  cost: Usd,
  calls: 0 | 1,
): AgentView {
  const spent_usd = addUsd(agent.spent_usd, cost)
  if (model !== null) return { ...agent, spent_usd, by_model: addToModel(agent.by_model, model, cost, calls) }
  const service = own(agent.by_service, target) ?? NO_SERVICE_CALLS
  const changed = { ...service, calls: service.calls + calls, cost_usd: addUsd(service.cost_usd, cost) }
  return { ...agent, spent_usd, by_service: { ...agent.by_service, [target]: changed } }
}

const NO_SERVICE_CALLS: ServiceView = {
  calls: 0,
  cost_usd: ZERO_USD,
  live: 0,
  cached: 0,
  placeholder: 0,
  failed: 0,
  blocked: 0,
  saved_usd: ZERO_USD,
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
