import { describe, expect, test } from 'vitest'
import type { EventData, EventType, Level, RuntimeEvent } from '../../src/core/events.ts'
import { toAgentId, toCallId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { applyEvent } from '../../src/state/apply-event.ts'
import { limitsOf } from '../../src/state/figures.ts'
import { shownFigures } from '../../src/state/figures-text.ts'
import { percentile } from '../../src/state/histogram.ts'
import {
  emptySnapshot,
  MAX_AGENTS,
  MAX_ALERTS,
  MAX_BURN_POINTS,
  MAX_CIRCUITS,
  MAX_MODELS,
  MAX_RECENT_EVENTS,
  OTHER,
  type Snapshot,
} from '../../src/state/snapshot.ts'
import fc from '../support/fast-check.ts'

const LEVELS: Level[] = ['DEBUG', 'INFO', 'OK', 'WARN', 'ERROR', 'CRIT']

/** Names as anybody may choose them, also those that every object has. */
const name = fc.oneof(
  fc.constantFrom('openai', 'gpt-4', 'linkedin_api', 'constructor', '__proto__', 'toString', 'hasOwnProperty', ''),
  fc.string({ maxLength: 8 }),
)
const agentId = fc.option(fc.constantFrom('lg-1', 'lg-2', '__proto__', 'constructor', 'valueOf'), { nil: null })
const amount = fc.constantFrom('0', '0.12', '0.000000001', '5.29', '9000000', '45').map(usd)
const count = fc.nat({ max: 1_000_000 })
const ms = fc.nat({ max: 86_400_000 })
const instant = fc.constantFrom('2025-12-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z')
const nullable = <T>(of: fc.Arbitrary<T>) => fc.option(of, { nil: null })
const text = fc.string({ maxLength: 12 })

type Payloads = { [T in EventType]: { [K in keyof EventData[T]]: fc.Arbitrary<EventData[T][K]> } }

const SECRET = {
  secret_id: fc.constantFrom('secret-1', 'secret-2', 'constructor'),
  name: text,
  environment: text,
  version: count,
  masked: text,
}

const LISTED = fc.record({
  id: fc.constantFrom('secret-1', 'secret-2'),
  name: text,
  environment: text,
  version: count,
  masked: text,
  created_at: text,
  updated_at: text,
  rotated_at: nullable(text),
  deleted_at: nullable(text),
})

const scope = fc.constantFrom('run' as const, 'server' as const, undefined)
const runId = fc.constantFrom(toRunId('run-1'), toRunId('run-2'), undefined)
const PERIOD = fc.record({ starts_at: instant, ends_at: instant, spent_before_usd: amount })

/** Every kind of event with every payload it may have. */
const PAYLOADS: Payloads = {
  'server.started': { version: text, url: text, pid: count },
  'panel.connected': { url: text },
  'panel.lost': { url: text, code: text, reason: text },
  'lease.quarantined': { url: text, count },
  'secret.received': { name: text, environment: text, version: fc.nat() },
  'agent.traced': {
    ...{ trace_id: text, span_id: text, parent_id: nullable(text), name: text },
    ...{ started_at: instant, ended_at: instant, failed: fc.boolean() },
    attributes: fc.dictionary(text, fc.oneof(text, count, fc.boolean())),
  },
  'agent.ordered': {
    order_id: text,
    action: fc.constantFrom('stop', 'pause', 'resume'),
    by: text,
    ok: fc.boolean(),
    result: text,
  },
  'server.stopped': { reason: text },
  'config.loaded': {
    file: nullable(text),
    safety: fc.option(fc.record({ mode: fc.constantFrom('redact', 'block', 'warn'), detect: fc.constant(['email']) }), {
      nil: undefined,
    }),
  },
  'config.refused': { file: nullable(text), reason: text },
  'agent.started': {
    run_id: fc.constantFrom('run-1', 'run-2', '').map(toRunId),
    name,
    script: text,
    environment: text,
    pid: count,
    restart: count,
    limit_usd: amount,
    safety_mode: fc.constantFrom('redact', 'block', 'warn'),
    detect: fc.constant(['email' as const]),
    sandbox: fc.constantFrom({ level: 'standard' as const, limited: false, why: null }, undefined),
    strategy: fc.constantFrom('docker', undefined),
  },
  'agent.bypassed': { provider: name, target: text, count },
  'sandbox.denied': { action: fc.constantFrom('connect', 'read', 'write'), target: text, count },
  'sandbox.observed': { action: fc.constantFrom('connect', 'read', 'write'), target: text, count },
  'egress.allowed': {
    ...{ host: text, port: count, name: nullable(text), is_listed: fc.boolean(), count },
    is_private: fc.constantFrom(true as const, undefined),
    kind: fc.constantFrom('provider' as const, 'service' as const, 'tunnel' as const),
    road: fc.constantFrom('redirect' as const, 'proxy' as const),
  },
  'egress.denied': { host: text, port: count, reason: text, count },
  'sandbox.planted': { path: text, moved_to: text },
  'agent.exited': {
    run_id: text.map(toRunId),
    exit_code: nullable(count),
    signal: nullable(text),
    state: fc.constantFrom('completed', 'failed', 'starting', 'crash_loop', 'budget_stopped', 'blocked', 'stopped'),
    reason: text,
    restart_in_ms: nullable(ms),
  },
  'agent.stopped': { reason: fc.constantFrom('operator', 'budget', 'pii', 'shutdown'), survivors: fc.array(count) },
  'agent.paused': { by: text },
  'agent.resumed': { by: text },
  'agent.output': { stream: fc.constantFrom('stdout', 'stderr'), text, truncated: fc.constant(true as const) },
  'progress.updated': {
    done: count,
    total: nullable(fc.integer({ min: 1, max: 1_000_000 })),
    unit: name,
    label: nullable(text),
  },
  'unit.completed': {
    outcome: fc.constantFrom('succeeded', 'failed'),
    degraded: fc.boolean(),
    unit: name,
    label: nullable(text),
    latency_ms: nullable(ms),
    reason: nullable(text),
  },
  'call.completed': {
    call_id: text.map(toCallId),
    provider: name,
    model: name,
    stream: fc.boolean(),
    input_tokens: count,
    cached_input_tokens: count,
    output_tokens: count,
    cost_usd: amount,
    estimated: fc.boolean(),
    latency_ms: ms,
    first_byte_ms: nullable(ms),
    status: count,
    redactions: count,
    baseline_usd: nullable(amount),
    run_id: runId,
  },
  'loop.detected': {
    call_id: text.map(toCallId),
    provider: name,
    model: name,
    tool: nullable(text),
    times: count,
    action: fc.constantFrom('report', 'refuse'),
  },
  'call.clamped': {
    call_id: text.map(toCallId),
    provider: name,
    model: name,
    asked_tokens: nullable(count),
    max_tokens: count,
  },
  'call.failed': {
    call_id: text.map(toCallId),
    provider: name,
    model: name,
    code: text,
    status: count,
    cost_usd: amount,
    estimated: fc.boolean(),
    latency_ms: ms,
    retryable: fc.boolean(),
    run_id: runId,
  },
  'call.retried': {
    ...{ call_id: text.map(toCallId), provider: name, model: name, calls: count },
    ...{ code: nullable(text), status: count, latency_ms: ms },
  },
  'service.called': {
    call_id: text.map(toCallId),
    service: name,
    ok: fc.boolean(),
    status: count,
    tier: nullable(fc.constantFrom(1, 2, 3)),
    blocked: fc.boolean(),
    cost_usd: amount,
    saved_usd: amount,
    latency_ms: ms,
    run_id: runId,
  },
  'fallback.used': { service: name, tier: fc.constantFrom(1, 2, 3), why: text },
  'circuit.opened': {
    circuit: name,
    failures: count,
    cooldown_ms: ms,
    reason: text,
    tier: nullable(fc.constantFrom(2, 3)),
  },
  'circuit.half_opened': { circuit: name },
  'call.refused': {
    call_id: name.map(toCallId),
    provider: name,
    model: fc.constant(null),
    code: name,
    status: fc.constant(403),
    calls: fc.nat(9),
  },
  'model.refused': {
    name,
    provider: name,
    model: name,
    call_id: name.map(toCallId),
    agent_id: name.map(toAgentId),
    bound_usd: fc.constant(usd('0.1')),
    claimed_usd: fc.constant(usd('1')),
  },
  'model.trusted': { name, by: name },
  'circuit.closed': { circuit: name, by: fc.constantFrom('probe', 'operator') },
  'budget.warned': {
    budget: scope,
    spent_usd: amount,
    limit_usd: amount,
    threshold: fc.constant(0.9),
    used_percent: count,
    suggested_increase_usd: amount,
  },
  'budget.exhausted': { budget: scope, spent_usd: amount, limit_usd: amount, needed_usd: nullable(amount) },
  'budget.requested': { request_id: text, budget: scope, add_usd: amount, reason: text },
  'budget.raised': { budget: scope, from_usd: amount, limit_usd: amount, by: text },
  'budget.opened': {
    server: nullable(fc.record({ limit_usd: amount, spent_usd: amount, period: nullable(PERIOD) })),
    run_limit_usd: nullable(amount),
  },
  'budget.period_began': { starts_at: instant, ends_at: instant, spent_before_usd: amount },
  'call.corrected': {
    call_id: text.map(toCallId),
    correction_id: text.map(toCallId),
    target: name,
    model: nullable(name),
    cost_usd: amount,
    difference_usd: amount,
    charged_at: instant,
    reason: text,
    by: text,
    run_id: runId,
  },
  'call.resolved': {
    call_id: text.map(toCallId),
    target: name,
    model: nullable(name),
    outcome: fc.constantFrom('charged', 'released'),
    held_usd: amount,
    cost_usd: amount,
    by: text,
  },
  'pii.found': {
    incident_id: text,
    pii_type: fc.constantFrom('email', 'phone', 'ssn', 'credit_card', 'iban', 'ip', 'secret'),
    risk: fc.constantFrom('HIGH', 'MEDIUM'),
    action: fc.constantFrom('redact', 'block', 'warn'),
    place: fc.constantFrom('reply', 'tool_arguments', 'output', 'log'),
    call_id: nullable(text.map(toCallId)),
    value_hash: text,
    start: count,
    end: count,
    unit: nullable(text),
  },
  'vault.opened': { secrets: fc.array(LISTED, { maxLength: 3 }) },
  'vault.exposed': { pids: fc.array(count, { maxLength: 3 }) },
  'vault.locked': {
    why: fc.constantFrom('no_key', 'weak_key', 'wrong_key', 'broken'),
    hint: text,
    secrets: fc.constant([]),
  },
  'vault.broken': { problem: text, secret_id: nullable(text) },
  'secret.created': SECRET,
  'secret.read': SECRET,
  'secret.updated': SECRET,
  'secret.deleted': SECRET,
  'secret.restored': SECRET,
  'secret.rotated': { name, environment: text, reloaded: count, restart_required: count },
  'secret.reloaded': { name, environment: text, latency_ms: ms },
  'secret.reload_failed': { name, environment: text, reason: fc.constantFrom('does_not_listen', 'no_answer') },
  'secret.rolled_back': { name, environment: text },
  'secret.withheld': { environment: text, secrets: count },
  'alert.raised': {
    alert_id: fc.constantFrom('alert-1', 'alert-2', 'alert-3'),
    kind: fc.constantFrom('circuit_opened', 'pii_found', 'budget_warning', 'budget_exhausted', 'crash_loop', 'blocked'),
    title: text,
    detail: text,
    budget: scope,
    source_seq: count,
  },
  'alert.tested': { by: text },
  'alert.acknowledged': { alert_id: fc.constantFrom('alert-1', 'alert-9'), by: text },
  'alert.delivered': { alert_id: fc.constantFrom('alert-1', 'alert-9'), channel: text, latency_ms: ms },
  'alert.failed': { alert_id: text, channel: text, error: text },
  'auth.failed': { reason: text, route: text },
  'audit.broken': { problem: text, row: fc.option(fc.nat()) },
}

const anyEvent = fc.oneof(
  ...Object.entries(PAYLOADS).map(([type, payload]) =>
    fc.record({
      type: fc.constant(type),
      level: fc.constantFrom(...LEVELS),
      agent_id: agentId,
      message: text,
      data: fc.record(payload as Record<string, fc.Arbitrary<unknown>>),
    }),
  ),
)

/** Numbered and dated as the StateManager does it. */
const anyHistory = fc
  .array(anyEvent, { maxLength: 80 })
  .map((events) =>
    events.map(
      (event, index) =>
        ({ ...event, seq: index + 1, at: new Date(1_767_000_000_000 + index * 997).toISOString() }) as RuntimeEvent,
    ),
  )

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const item of Object.values(value)) deepFreeze(item)
  }
  return value
}

const replay = (events: readonly RuntimeEvent[]): Snapshot => events.reduce(applyEvent, emptySnapshot())

describe('applying an event', () => {
  test('applying an event touches neither the snapshot nor the event, takes every event there can be, and gives the same again', () => {
    fc.assert(
      fc.property(anyHistory, (events) => {
        let state = deepFreeze(emptySnapshot())
        for (const event of deepFreeze(events)) state = deepFreeze(applyEvent(state, event))
        expect(replay(events)).toEqual(state)
        expect(state.seq).toBe(events.length)
      }),
      { numRuns: 300 },
    )
  })

  test('applying an event gives a snapshot that survives being stored as JSON, and goes on from there to the same end', () => {
    fc.assert(
      fc.property(anyHistory, fc.nat({ max: 80 }), (events, half) => {
        const stored = JSON.parse(JSON.stringify(replay(events.slice(0, half)))) as Snapshot
        const restarted = events.slice(half).reduce(applyEvent, stored)
        expect(JSON.stringify(restarted)).toBe(JSON.stringify(replay(events)))
      }),
      { numRuns: 300 },
    )
  })

  test('applying an event leaves a snapshot whose every number is one, and whose every figure can be shown', () => {
    const look = (value: unknown, path: string): void => {
      if (typeof value === 'number') expect(Number.isFinite(value), path).toBe(true)
      if (typeof value === 'object' && value !== null) {
        for (const [key, item] of Object.entries(value)) look(item, `${path}.${key}`)
      }
      expect(typeof value, path).not.toBe('function')
      if (path.endsWith('_usd') && value !== null) expect(value, path).toMatch(/^-?\d+(\.\d+)?$/)
    }
    fc.assert(
      fc.property(anyHistory, (events) => {
        const { recent: _, ...state } = replay(events)
        look(state, 'snapshot')
        for (const agent of Object.values(state.agents)) {
          look(shownFigures(agent, 1_767_000_500_000), 'figures')
          look(limitsOf(agent, { ...state, recent: [] }), 'limits')
        }
      }),
      { numRuns: 300 },
    )
  })

  test('applying an event changes nothing of other agents, unless it is about all of them', () => {
    fc.assert(
      fc.property(anyHistory, anyEvent, (events, last) => {
        fc.pre(last.type !== 'config.loaded')
        const before = replay(events)
        const after = applyEvent(before, {
          ...last,
          seq: events.length + 1,
          at: '2026-01-01T00:00:00.000Z',
        } as RuntimeEvent)
        for (const id of Object.keys(before.agents))
          if (id !== last.agent_id) expect(after.agents[id]).toBe(before.agents[id])
      }),
    )
  })

  test('applying an event keeps so many events, agents, alerts and points, and no more', () => {
    let state = emptySnapshot()
    const add = (event: object) => {
      const seq = state.seq + 1
      state = applyEvent(state, {
        level: 'INFO',
        message: '',
        agent_id: null,
        ...event,
        seq,
        at: new Date(1e12 + seq).toISOString(),
      } as RuntimeEvent)
    }
    for (let index = 0; index < 300; index++) {
      const id = `lg-${index}`
      add({
        type: 'agent.started',
        agent_id: id,
        data: { run_id: 'r', name: 'a', limit_usd: '1', detect: [], restart: 0, pid: 1 },
      })
      add({ type: 'agent.exited', agent_id: id, data: { state: 'completed', exit_code: 0 } })
      add({ type: 'alert.raised', data: { alert_id: id } })
    }
    for (let done = 1; done <= 5_000; done++) {
      add({ type: 'progress.updated', agent_id: 'lg-299', data: { done, total: 5_000, unit: 'leads', label: null } })
    }
    expect(state.recent).toHaveLength(MAX_RECENT_EVENTS)
    expect(state.recent.map(({ seq }) => seq)).toEqual(
      Array.from({ length: MAX_RECENT_EVENTS }, (_, index) => state.seq - MAX_RECENT_EVENTS + 1 + index),
    )
    expect(Object.keys(state.agents)).toHaveLength(MAX_AGENTS)
    expect(state.alerts).toHaveLength(MAX_ALERTS)
    expect(state.alerts[0]?.id).toBe('lg-299')
    const { burn } = state.agents['lg-299']!
    expect(burn.length).toBeLessThanOrEqual(MAX_BURN_POINTS)
    expect([burn[0]?.done, burn.at(-1)?.done]).toEqual([0, 5_000])
    // Evenly: no stretch of the curve is a straight line.
    const gaps = burn.slice(1).map(({ done }, index) => done - burn[index]!.done)
    expect(Math.max(...gaps)).toBeLessThanOrEqual(64)
  })
})

describe('names that agents make up', () => {
  const replayed = (events: object[]) =>
    events.reduce<Snapshot>(
      (state, event, index) =>
        applyEvent(state, {
          level: 'INFO',
          message: '',
          ...event,
          seq: index + 1,
          at: '2026-01-01T00:00:00.000Z',
        } as RuntimeEvent),
      emptySnapshot(),
    )

  test('made-up names of models are counted by name up to a hundred, and by one name after that', () => {
    const called = (model: string) => ({
      type: 'call.completed',
      agent_id: 'lg-1',
      data: {
        provider: 'openai',
        model,
        cost_usd: '0.01',
        baseline_usd: null,
        input_tokens: 1,
        output_tokens: 1,
        latency_ms: 1,
      },
    })
    const { by_model } = replayed([
      {
        type: 'agent.started',
        agent_id: 'lg-1',
        data: { run_id: 'r', name: 'a', limit_usd: '1', detect: [], restart: 0, pid: 1 },
      },
      ...Array.from({ length: 130 }, (_, index) => called(`ft:gpt-4o::${index}`)),
      called('ft:gpt-4o::0'),
    ]).agents['lg-1']!
    expect(Object.keys(by_model)).toHaveLength(MAX_MODELS + 1)
    expect(by_model[OTHER]).toMatchObject({ calls: 30, cost_usd: '0.3' })
    expect(by_model['ft:gpt-4o::0']).toMatchObject({ calls: 2 })
  })

  test('made-up circuits are kept up to five hundred; one that was in trouble outlasts the others', () => {
    const opened = { circuit: 'in_trouble', failures: 5, cooldown_ms: 1, reason: 'down', tier: null }
    const { circuits } = replayed([
      { type: 'circuit.opened', data: opened },
      { type: 'circuit.closed', data: { circuit: 'in_trouble', by: 'probe' } },
      ...Array.from({ length: 600 }, (_, index) => ({
        type: 'fallback.used',
        data: { service: `made_up_${index}`, tier: 3, why: '' },
      })),
    ])
    expect(Object.keys(circuits)).toHaveLength(MAX_CIRCUITS)
    expect(circuits.in_trouble).toMatchObject({ trips: 1 })
    expect([circuits.made_up_0, circuits.made_up_599]).toMatchObject([undefined, { name: 'made_up_599' }])
  })
})

test('a flood of alerts of one kind pushes out none of another kind, and those that were acknowledged go first', () => {
  let state = emptySnapshot()
  const add = (event: object) => {
    const seq = state.seq + 1
    state = applyEvent(state, { level: 'WARN', message: '', agent_id: null, seq, at: '', ...event } as RuntimeEvent)
  }
  const raise = (kind: string, alert_id: string) => add({ type: 'alert.raised', data: { kind, alert_id } })
  raise('budget_exhausted', 'real-1')
  raise('crash_loop', 'real-2')
  raise('crash_loop', 'seen')
  add({ type: 'alert.acknowledged', data: { alert_id: 'seen' } })
  for (let number = 0; number < 300; number++) raise('circuit_opened', `made-up-${number}`)
  expect(state.alerts).toHaveLength(MAX_ALERTS)
  expect(state.alerts.slice(-2).map(({ id }) => id)).toEqual(['real-2', 'real-1'])
  expect(state.alerts[0]!.id).toBe('made-up-299')
})

test('an approved increase answers the alerts that asked for it, and no other', () => {
  const budgetAlert = (id: string, agentId: string, budget?: 'server') => ({
    type: 'alert.raised',
    agent_id: toAgentId(agentId),
    level: 'WARN',
    message: 'Budget warning',
    data: { alert_id: id, kind: 'budget_warning', title: '', detail: '', source_seq: 1, ...(budget && { budget }) },
  })
  const raised = (from: string, to: string, data: object, agentId: string | null) => ({
    type: 'budget.raised',
    agent_id: agentId,
    level: 'INFO',
    message: 'raised',
    data: { from_usd: from, limit_usd: to, by: 'operator', ...data },
  })
  const openAfter = (...events: object[]) =>
    events
      .map((event, index) => ({ seq: index + 1, at: '2026-01-02T03:04:05.000Z', ...event }) as RuntimeEvent)
      .reduce(applyEvent, emptySnapshot())
      .alerts.filter(({ acknowledged }) => !acknowledged)
      .map(({ id }) => id)
  const alerts = [budgetAlert('mine', 'a-1'), budgetAlert('other', 'a-2'), budgetAlert('all', 'a-1', 'server')]
  expect(openAfter(...alerts, raised('10', '15', {}, 'a-1'))).toEqual(['all', 'other'])
  expect(openAfter(...alerts, raised('10', '15', { budget: 'server' }, null))).toEqual(['other', 'mine'])
  expect(openAfter(...alerts, raised('15', '10', {}, 'a-1'))).toEqual(['all', 'other', 'mine'])
})

describe('a percentile', () => {
  test('a percentile is right to within two and a half percent', () => {
    let state = emptySnapshot()
    const add = (event: object) => {
      state = applyEvent(state, {
        level: 'INFO',
        message: '',
        agent_id: 'lg-1',
        ...event,
        seq: state.seq + 1,
        at: new Date(1e12).toISOString(),
      } as RuntimeEvent)
    }
    add({ type: 'agent.started', data: { run_id: 'r', name: 'a', limit_usd: '1', detect: [], restart: 0, pid: 1 } })
    for (let value = 1; value <= 1_000; value++) {
      add({ type: 'unit.completed', data: { outcome: 'succeeded', degraded: false, unit: 'x', latency_ms: value } })
    }
    for (const share of [0.5, 0.95, 0.99]) {
      const found = percentile(state.agents['lg-1']!.unit_latency, share)!
      expect(Math.abs(found / (share * 1_000) - 1)).toBeLessThan(0.026)
    }
    expect(percentile({}, 0.5)).toBeNull()
  })
})
