/** Schemas of what several replies show. Their fields are those of the types that they document. */

import * as z from 'zod'
import type { Cost, CostReport } from '../budget/report.ts'
import type { BudgetPeriod, BudgetView, RuntimeEvent, SandboxView } from '../core/events.ts'
import { PII_TYPES } from '../core/pii-types.ts'
import { count, json, named, type Shape, time, usd } from '../http/route.ts'
import { level } from '../http/shared-shapes.ts'
import type { ShownFigures } from '../state/figures-text.ts'
import type {
  AgentView,
  AlertRequest,
  AlertView,
  BurnPoint,
  CircuitView,
  ModelView,
  ServiceView,
} from '../state/snapshot.ts'

const AGENT_STATES = [
  ...(['starting', 'running', 'paused', 'stopping', 'completed'] as const),
  ...(['stopped', 'failed', 'crash_loop', 'budget_stopped', 'blocked'] as const),
] as const

export const agentState = () => z.enum(AGENT_STATES)
const piiType = () => z.enum(PII_TYPES)
const safetyMode = () => z.enum(['redact', 'block', 'warn'])
/** Counts per bucket, by the number of the bucket. */
const histogram = () => z.record(z.string(), count()).describe('Counts by bucket: floor(log(ms) / log(1.05)).')

const period = () =>
  z.object({ starts_at: time(), ends_at: time(), spent_before_usd: usd() } satisfies Shape<BudgetPeriod>)

export const budgetView = named('BudgetView', () =>
  z.object({
    limit_usd: usd(),
    spent_usd: usd().describe('In total.'),
    period: period().nullable().describe('Null if the limit never resets.'),
  } satisfies Shape<BudgetView>),
)

const modelView = named('ModelUse', () =>
  z.object({
    calls: count(),
    cost_usd: usd(),
    input_tokens: count(),
    output_tokens: count(),
  } satisfies Shape<ModelView>),
)

const serviceView = named('ServiceUse', () =>
  z.object({
    calls: count(),
    cost_usd: usd(),
    live: count(),
    cached: count(),
    placeholder: count(),
    failed: count(),
    blocked: count().describe('Calls that an open circuit refused.'),
    saved_usd: usd().describe('What the blocked calls would have cost.'),
  } satisfies Shape<ServiceView>),
)

const burnPoint = named('BurnPoint', () =>
  z.object({ at: time(), done: count(), spent_usd: usd() } satisfies Shape<BurnPoint>),
)

const sandboxView = () =>
  z.object({
    level: z.enum(['off', 'observe', 'standard', 'strict']),
    limited: z.boolean().describe('Only listed places can be connected to.'),
    why: z.string().nullable().describe('Why there is none, or what it leaves open.'),
  } satisfies Shape<SandboxView>)

const progress = () =>
  z.object({
    done: count(),
    total: count().nullable(),
    unit: z.string(),
    label: z.string().nullable(),
    first_at: time(),
    last_at: time(),
  })

export const agentView = named('Agent', () =>
  z.object({
    id: z.string(),
    name: z.string(),
    script: z.string(),
    environment: z.string(),
    state: agentState(),
    reason: z.string().nullable().describe('The reason for its state, for people.'),
    run_id: z.string(),
    pid: z.int().nullable(),
    exit_code: z.int().nullable(),
    signal: z.string().nullable(),
    restarts: count(),
    started_at: time(),
    paused_at: time().nullable(),
    ended_at: time().nullable(),
    down_ms: z.number().describe('Time between crashes and the next starts.'),
    pauses: z
      .object({ total_ms: z.number(), last: z.object({ from: time(), to: time() }) })
      .optional()
      .describe('Pauses that have ended, which are neither latency nor working time; absent without any.'),
    safety_mode: safetyMode(),
    detect: z.array(piiType()),
    sandbox: sandboxView().nullable().describe('Null for a client without supervision.'),
    strategy: z.string().optional().describe('Strategy that it is deployed with; absent for one that is not.'),
    tags: z
      .record(z.string(), z.string())
      .optional()
      .describe('What its cost is grouped by in reports; absent without any.'),
    unauthorized: z.object({ denied: count(), bypassed: count(), last: z.string().nullable() }),
    warn_at: z.array(z.number()).describe('Shares of the limit at which a warning is raised.'),
    limit_usd: usd(),
    spent_usd: usd().describe('In its whole life.'),
    run_spent_usd: usd().describe('By its last run, if runs have a budget.'),
    period: period().nullable().describe('Null if the limit never resets.'),
    warned: z.boolean(),
    exhausted: z.boolean(),
    by_model: z.record(z.string(), modelView()),
    by_service: z.record(z.string(), serviceView()),
    downgraded_saved_usd: usd(),
    burn: z.array(burnPoint()).describe('Spending over the work done, or over payments.'),
    progress: progress().nullable(),
    outcomes: z.object({ succeeded: count(), failed: count(), degraded: count() }),
    calls: z.object({ completed: count(), failed: count() }),
    call_latency: histogram(),
    unit_latency: histogram(),
    pii: z.partialRecord(piiType(), count()).describe('Counts of findings by type.'),
    last_pii: z
      .object({ pii_type: piiType(), action: safetyMode(), at: time(), unit: z.string().nullable() })
      .nullable(),
  } satisfies Shape<AgentView>),
)

const text = (example: string) => z.string().describe(`Such as "${example}".`)

const projection = () =>
  z.discriminatedUnion('of', [
    z.object({
      of: z.literal('total'),
      total_usd: usd(),
      spent_usd: usd(),
      remaining: z.number(),
      unit: z.string(),
      unit_usd: usd(),
      last_units: z.number(),
    }),
    z.object({
      of: z.literal('limit'),
      left_usd: usd(),
      left_ms: z.number(),
      per_minute_usd: usd(),
      last_ms: z.number(),
    }),
  ])

export const figuresView = named('Figures', () =>
  z
    .object({
      work: z.object({ done: count(), total: count().nullable(), unit: z.string() }).nullable(),
      progress_percent: z.number().nullable().describe('Of the work done, 0 to 100.'),
      finished: count().describe('Units of work that ended.'),
      succeeded: count(),
      spent_usd: usd().describe('In the current period, if the limit has one.'),
      limit_usd: usd(),
      used_percent: z.number().describe('Share of the limit that is spent, 0 to 100.'),
      unit: z.string().describe('Of the following two: the reported work, else "calls".'),
      average_usd: usd().nullable(),
      per_hour: z.number().nullable(),
      projected: projection().nullable(),
      projection_usd: usd().nullable().describe('Cost of the whole work; null without a known total.'),
      budget_status: z.enum(['under_budget', 'approaching_limit', 'exhausted']),
      p50_ms: z.number().nullable(),
      p95_ms: z.number().nullable(),
      p99_ms: z.number().nullable(),
      cache_hit_percent: z.number().nullable(),
      uptime_percent: z.number(),
      uptime_ms: z.number(),
      leaks_stopped: count(),
      baseline_usd: usd().describe('Spent, plus what blocked and downgraded calls would have cost.'),
      saved_usd: usd(),
      blocked_saved_usd: usd(),
      progress: text('23 / 100 leads (23%)').nullable(),
      success: text('100% (23/23)').nullable(),
      spent: text('$5.29 / $50.00'),
      used: text('10.6% used'),
      average: text('$0.23 avg/lead').nullable(),
      projection: text('Projection: $23.00 total').nullable(),
      projection_method: z.string().nullable(),
      throughput: text('212 leads/hour').nullable(),
      p50: text('2.1 s').nullable(),
      p95: text('2.1 s').nullable(),
      p99: text('2.1 s').nullable(),
      cache_hits: text('34%').nullable(),
      uptime_share: text('99.9%'),
    } satisfies Shape<ShownFigures>)
    .describe('As numbers and in words.'),
)

export const circuitView = named('Circuit', () =>
  z.object({
    name: z.string(),
    state: z.enum(['closed', 'open', 'half_open']),
    opened_at: time().nullable(),
    cooldown_ms: z.number(),
    forced: z.boolean().describe('Opened by a person, until a person resets it.'),
    trips: count(),
    last_trip_at: time().nullable(),
    blocked: count(),
    saved_usd: usd(),
    fallbacks: count().describe('How often a fallback answered.'),
    unanswered: count().describe('How often nothing did.'),
    reason: z.string().nullable(),
  } satisfies Shape<CircuitView>),
)

export const alertView = named('Alert', () =>
  z.object({
    id: z.string(),
    kind: z.string(),
    level: level(),
    title: z.string(),
    detail: z.string(),
    at: time(),
    agent_id: z.string().nullable(),
    budget: z.enum(['run', 'server', 'shared']).nullable().describe("Its budget, unless it is the agent's own."),
    circuit: z.string().nullable(),
    request: z
      .object({
        id: z.string(),
        add_usd: usd(),
        reason: z.string(),
        state: z.enum(['pending', 'approved', 'rejected']),
      } satisfies Shape<AlertRequest>)
      .optional()
      .describe('What an agent asks for. A raise approves it; an acknowledgment without one rejects it.'),
    source_seq: count().describe('The event that caused it.'),
    acknowledged: z.boolean(),
    delivered: z.array(z.string()).describe('Channels.'),
    failed: z.array(z.object({ channel: z.string(), error: z.string() })),
  } satisfies Shape<AlertView>),
)

export const eventView = named('Event', () =>
  z.object({
    seq: count(),
    at: time(),
    agent_id: z.string().nullable(),
    level: level(),
    type: text('budget.warned'),
    message: z.string().describe('One line for people.'),
    data: z.record(z.string(), json()).describe('By type.'),
  } satisfies Shape<RuntimeEvent>),
)

const cost = named('Cost', () =>
  z.object({
    name: z.string(),
    calls: count().describe('Those that were charged.'),
    cost_usd: usd(),
  } satisfies Shape<Cost>),
)

export const costReportView = named('CostReport', () =>
  z.object({
    spent_usd: usd().describe('With corrections.'),
    held_usd: usd(),
    rows: z.object({ held: count(), charged: count(), released: count(), unresolved: count() }),
    by_agent: z.array(cost()),
    by_model: z.array(cost()),
    by_service: z.array(cost()),
    by_tag: z
      .array(cost())
      .describe('By tags of agents, such as "customer=acme". A cost counts toward each tag of its agent.'),
    by_hour: z.array(cost()).describe('Oldest first; the other lists start with the highest cost.'),
  } satisfies Shape<CostReport>),
)
