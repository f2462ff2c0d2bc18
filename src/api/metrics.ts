/**
 * `GET /metrics` for Prometheus, from the snapshot only: the dashboard's numbers under standard names. `:agent` is the
 * agent's id. Counters start with the database, so that they continue after a restart.
 */
import type { Registry } from 'prom-client'
import { fromUsd, NANOS_PER_USD, type Usd } from '../core/money.ts'
import { type Route, routesOf } from '../http/route.ts'
import { figures } from '../state/figures.ts'
import { percentile } from '../state/histogram.ts'
import type { AgentView, CircuitView, Snapshot } from '../state/snapshot.ts'
import type { StateManager } from '../state/state-manager.ts'

const route = routesOf('State')

export function metricsRoutes({ state, viewers }: { state: StateManager; viewers: () => number }): Route[] {
  /** Of the process: memory, CPU time, event loop delay. Measured from the first request on. */
  let own: Registry | undefined
  return [
    route('GET /metrics', {
      role: 'viewer',
      summary: 'Serves metrics in the Prometheus text format.',
      reply: null,
      types: ['text/plain'],
      handle: async ({ context }) => {
        // Through the default export: in a bundle CommonJS has no named exports.
        const { default: prometheus } = await import('prom-client')
        if (!own) {
          own = new prometheus.Registry()
          prometheus.collectDefaultMetrics({ register: own })
        }
        const shown = snapshotMetrics(prometheus, state.read(), state.now(), viewers())
        context.header('content-type', prometheus.Registry.PROMETHEUS_CONTENT_TYPE)
        return context.body((await Promise.all([shown.metrics(), own.metrics()])).join('\n'))
      },
    }),
  ]
}

type Sample = [labels: Record<string, string>, value: number]

/** Loaded on the first request for metrics: most servers never get one. */
type Prometheus = typeof import('prom-client')

/** Registers one metric with its samples. */
type Register = (name: string, help: string, labelNames: string[], samples: Sample[]) => void
type Metrics = { gauge: Register; counter: Register }

function snapshotMetrics(
  { Counter, Gauge, Registry }: Prometheus,
  snapshot: Snapshot,
  nowMs: number,
  viewers: number,
): Registry {
  const register = new Registry()
  const metrics: Metrics = {
    gauge(name, help, labelNames, samples) {
      const metric = new Gauge({ name: `iron_cage_${name}`, help, labelNames, registers: [register] })
      for (const [labels, value] of samples) metric.set(labels, value)
    },
    counter(name, help, labelNames, samples) {
      const metric = new Counter({ name: `iron_cage_${name}_total`, help, labelNames, registers: [register] })
      for (const [labels, value] of samples) metric.inc(labels, value)
    },
  }
  const agents = Object.values(snapshot.agents)
  serverMetrics(metrics, snapshot, viewers)
  agentMetrics(metrics, agents)
  moneyMetrics(metrics, agents, nowMs)
  callMetrics(metrics, agents)
  circuitMetrics(metrics, Object.values(snapshot.circuits))
  return register
}

function serverMetrics({ gauge, counter }: Metrics, snapshot: Snapshot, viewers: number): void {
  counter('events', 'Events recorded', [], [[{}, snapshot.seq]])
  gauge('viewers', 'Dashboards connected', [], [[{}, viewers]])
  gauge('vault_open', '1 while the vault is open', [], [[{}, snapshot.vault.state === 'open' ? 1 : 0]])
  gauge(
    'alerts_open',
    'Unacknowledged alerts',
    [],
    [[{}, snapshot.alerts.filter(({ acknowledged }) => !acknowledged).length]],
  )
}

function agentMetrics({ gauge, counter }: Metrics, agents: readonly AgentView[]): void {
  gauge(
    'agent_info',
    'Always 1; the labels hold the name, environment and state of an agent',
    ['agent', 'name', 'environment', 'state'],
    agents.map(({ id, name, environment, state }) => [{ agent: id, name, environment, state }, 1]),
  )
  counter(
    'restarts',
    'Restarts after a crash',
    ['agent'],
    agents.map(({ id, restarts }) => [{ agent: id }, restarts]),
  )
  counter(
    'units',
    'Units of work by outcome',
    ['agent', 'outcome'],
    agents.flatMap(({ id, outcomes }): Sample[] => [
      [{ agent: id, outcome: 'succeeded' }, outcomes.succeeded],
      [{ agent: id, outcome: 'failed' }, outcomes.failed],
    ]),
  )
  counter(
    'findings',
    'Personal data found',
    ['agent', 'type'],
    agents.flatMap(({ id, pii }) => Object.entries(pii).map(([type, count]): Sample => [{ agent: id, type }, count])),
  )
}

function moneyMetrics({ gauge, counter }: Metrics, agents: readonly AgentView[], nowMs: number): void {
  const dollars = (usd: Usd) => fromUsd(usd) / NANOS_PER_USD
  gauge(
    'budget_limit_usd',
    'Hard limit of an agent',
    ['agent'],
    agents.map(({ id, limit_usd }) => [{ agent: id }, dollars(limit_usd)]),
  )
  gauge(
    'budget_used_ratio',
    'Share of the limit that is spent',
    ['agent'],
    agents.map((agent) => [{ agent: agent.id }, figures(agent, nowMs).used_percent / 100]),
  )
  counter(
    'spent_usd',
    'Spent by an agent on a model or service',
    ['agent', 'kind', 'target'],
    agents.flatMap(({ id, by_model, by_service }) => [
      ...Object.entries(by_model).map(
        ([target, { cost_usd }]): Sample => [{ agent: id, kind: 'model', target }, Math.max(0, dollars(cost_usd))],
      ),
      ...Object.entries(by_service).map(
        ([target, { cost_usd }]): Sample => [{ agent: id, kind: 'service', target }, Math.max(0, dollars(cost_usd))],
      ),
    ]),
  )
}

function callMetrics({ gauge, counter }: Metrics, agents: readonly AgentView[]): void {
  counter(
    'llm_calls',
    'LLM calls by outcome',
    ['agent', 'outcome'],
    agents.flatMap(({ id, calls }): Sample[] => [
      [{ agent: id, outcome: 'completed' }, calls.completed],
      [{ agent: id, outcome: 'failed' }, calls.failed],
    ]),
  )
  gauge(
    'llm_call_seconds',
    'Quantiles of LLM call durations, within 2.5 %',
    ['agent', 'quantile'],
    agents.flatMap(({ id, call_latency }) =>
      [0.5, 0.95, 0.99].flatMap((quantile): Sample[] => {
        const ms = percentile(call_latency, quantile)
        return ms === null ? [] : [[{ agent: id, quantile: String(quantile) }, ms / 1000]]
      }),
    ),
  )
  counter(
    'service_answers',
    'Replies of services by source',
    ['agent', 'service', 'source'],
    agents.flatMap(({ id, by_service }) =>
      Object.entries(by_service).flatMap(([service, view]): Sample[] =>
        (['live', 'cached', 'placeholder', 'failed'] as const).map((source) => [
          { agent: id, service, source },
          view[source],
        ]),
      ),
    ),
  )
}

function circuitMetrics({ gauge, counter }: Metrics, circuits: readonly CircuitView[]): void {
  gauge(
    'circuit_open',
    '1 while a circuit is open, 0.5 while it is half-open, 0 while it is closed',
    ['circuit'],
    circuits.map(({ name, state }) => [{ circuit: name }, { closed: 0, half_open: 0.5, open: 1 }[state]]),
  )
  counter(
    'circuit_trips',
    'Times a circuit opened',
    ['circuit'],
    circuits.map(({ name, trips }) => [{ circuit: name }, trips]),
  )
}
