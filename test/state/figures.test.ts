/** The numbers of the demo's table, made of the events that the demo makes. */
import { describe, expect, test } from 'vitest'
import type { RuntimeEvent } from '../../src/core/events.ts'
import { applyEvent } from '../../src/state/apply-event.ts'
import { figures } from '../../src/state/figures.ts'
import { shownFigures } from '../../src/state/figures-text.ts'
import { emptySnapshot, type Snapshot } from '../../src/state/snapshot.ts'

const AGENT = 'lg-7a3f9c2d'
const BEGAN = Date.parse('2026-01-02T03:00:00Z')
/** 212 leads an hour. */
const LEAD_MS = 3_600_000 / 212

/** The demo's first so many leads. */
function lived(leads: number): { snapshot: Snapshot; now: number } {
  let snapshot = emptySnapshot()
  let now = BEGAN
  const add = (event: object) => {
    const seq = snapshot.seq + 1
    const at = new Date(now).toISOString()
    snapshot = applyEvent(snapshot, { level: 'INFO', agent_id: AGENT, message: '', ...event, seq, at } as RuntimeEvent)
  }
  const call = (model: string, cost_usd: string, baseline_usd: string | null = null) =>
    add({
      type: 'call.completed',
      data: { provider: 'openai', model, cost_usd, baseline_usd, input_tokens: 1, output_tokens: 1, latency_ms: 900 },
    })
  const service = (name: string, cost_usd: string, tier: number, saved_usd = '0') =>
    add({ type: 'service.called', data: { service: name, cost_usd, tier, saved_usd, blocked: saved_usd !== '0' } })
  add({
    type: 'agent.started',
    data: { name: 'lead_gen_agent', limit_usd: '50', detect: ['email'], restart: 0, pid: 1 },
  })
  for (let lead = 1; lead <= leads; lead++) {
    const isDown = lead >= 34
    service('linkedin_api', isDown ? '0' : '0.1', isDown ? 2 : 1, lead >= 35 ? '0.1' : '0')
    service('clearbit_api', '0.01', 1)
    if (!isDown) call('gpt-4', '0.12')
    for (let reading = 1; isDown && reading <= 3; reading++) {
      if (lead <= 85) call('gpt-4', '0.24')
      else call('gpt-3.5-turbo', '0.0045', '0.24')
      if (lead === 85 && reading === 1) add({ type: 'budget.warned', data: {} })
    }
    if (lead === 67 || lead === 91)
      add({ type: 'pii.found', data: { pii_type: 'email', action: 'redact', unit: null } })
    if (lead === 78) add({ type: 'pii.found', data: { pii_type: 'phone', action: 'redact', unit: null } })
    now += LEAD_MS
    const outcome = lead === 58 || lead === 92 ? 'failed' : 'succeeded'
    add({ type: 'unit.completed', data: { outcome, degraded: isDown, unit: 'leads', latency_ms: 2_100 } })
    add({ type: 'progress.updated', data: { done: lead, total: 100, unit: 'leads', label: null } })
  }
  return { snapshot, now }
}

const at = (leads: number) => {
  const { snapshot, now } = lived(leads)
  return shownFigures(snapshot.agents[AGENT]!, now)
}

test('figures are numbers, which the texts are made of', () => {
  const { snapshot, now } = lived(23)
  const numbers = figures(snapshot.agents[AGENT]!, now)
  expect(numbers).toMatchObject({
    work: { done: 23, total: 100, unit: 'leads' },
    progress_percent: 23,
    finished: 23,
    succeeded: 23,
    spent_usd: '5.29',
    limit_usd: '50',
    unit: 'leads',
    average_usd: '0.23',
    per_hour: 212,
    projected: { of: 'total', total_usd: '23', remaining: 77, unit: 'leads', unit_usd: '0.23', last_units: 10 },
    projection_usd: '23',
    cache_hit_percent: 0,
    uptime_percent: 100,
  })
  const isSentence = (value: unknown) => typeof value === 'string' && / /.test(value)
  expect(Object.entries(numbers).filter(([, value]) => isSentence(value))).toEqual([])
})

describe('the figures of the demo', () => {
  test('the figures of the demo at lead 23 are as planned', () => {
    expect(at(23)).toMatchObject({
      spent: '$5.29 / $50.00',
      used: '10.6% used',
      average: '$0.23 avg/lead',
      projection: 'Projection: $23.00 total',
      progress: '23 / 100 leads (23%)',
      success: '100% (23/23)',
      throughput: '212 leads/hour',
      budget_status: 'under_budget',
      p95: '2.1 s',
      uptime_share: '100%',
      leaks_stopped: 0,
      saved_usd: '0',
    })
  })

  test('at lead 44 the projection follows the dearer leads, and the budget is marked as nearly used', () => {
    // 33 × $0.23 + 11 × $0.73 + 56 × $0.73
    expect(at(44)).toMatchObject({
      spent: '$15.62 / $50.00',
      projection: 'Projection: $56.50 total',
      budget_status: 'approaching_limit',
    })
  })

  test('the figures of the demo at lead 85 are as planned', () => {
    expect(at(85)).toMatchObject({ spent: '$45.55 / $50.00', used: '91.1% used', budget_status: 'approaching_limit' })
  })

  test('the figures of the demo at the end are as planned', () => {
    const { snapshot, now } = lived(100)
    const agent = snapshot.agents[AGENT]!
    expect(shownFigures(agent, now)).toMatchObject({
      spent: '$45.90 / $50.00',
      used: '91.8% used',
      success: '98% (98/100)',
      progress: '100 / 100 leads (100%)',
      progress_percent: 100,
      projection: 'Projection: $45.90 total',
      leaks_stopped: 3,
      // 67 of 200 answers came from the cache.
      cache_hits: '34%',
      blocked_saved_usd: '6.6',
      // 66 blocked calls of $0.10, and 45 calls of $0.0045 instead of $0.24.
      saved_usd: '17.1975',
      baseline_usd: '63.1',
    })
    expect(agent.spent_usd).toBe('45.9025')
    expect(agent.by_service.linkedin_api).toMatchObject({ live: 33, cached: 67, blocked: 66, cost_usd: '3.3' })
    expect(agent.by_model['gpt-3.5-turbo']).toMatchObject({ calls: 45, cost_usd: '0.2025' })
    expect(agent.outcomes).toEqual({ succeeded: 98, failed: 2, degraded: 67 })
    expect(agent.pii).toEqual({ email: 2, phone: 1 })
  })

  test('before the first lead only the known figures are shown', () => {
    expect(at(0)).toMatchObject({
      spent: '$0.00 / $50.00',
      used: '0.0% used',
      progress: null,
      success: null,
      average: null,
      projection: null,
      throughput: null,
      p95: null,
      cache_hits: null,
    })
  })

  test('without reported progress the figures predict the time of the limit from the pace of recent payments', () => {
    let snapshot = emptySnapshot()
    const add = (seconds: number, event: object) => {
      const at = new Date(BEGAN + seconds * 1_000).toISOString()
      const facts = { level: 'INFO', agent_id: AGENT, message: '', seq: snapshot.seq + 1, at }
      snapshot = applyEvent(snapshot, { ...facts, ...event } as RuntimeEvent)
    }
    const shownAt = (seconds: number) => {
      const { projection, projection_usd, projection_method } = shownFigures(
        snapshot.agents[AGENT]!,
        BEGAN + seconds * 1_000,
      )
      return [projection, projection_usd, projection_method]
    }
    add(0, { type: 'agent.started', data: { name: 'a', limit_usd: '5', detect: [], restart: 0, pid: 1 } })
    expect(shownAt(5)).toEqual([null, null, null])
    const data = { model: 'gpt-4', cost_usd: '0.1', baseline_usd: null, input_tokens: 1, output_tokens: 1 }
    for (let call = 1; call <= 20; call++) {
      add(call * 6, { type: 'call.completed', data: { ...data, latency_ms: 900 } })
    }
    // Ten calls of ten cents within a minute; three dollars are left.
    const method = '$3.00 left ÷ $1.00/min (average of the last 1 min)'
    expect(shownAt(120)).toEqual(['Projection: limit in 3 min, at $1.00/min', null, method])
    expect(shownFigures(snapshot.agents[AGENT]!, BEGAN)).toMatchObject({
      average: '$0.10 avg/call',
      throughput: '600 calls/hour',
    })
    // A pause slows the pace down.
    expect(shownAt(180)[0]).toBe('Projection: limit in 6 min, at $0.50/min')
    expect(snapshot.agents[AGENT]!.burn).toHaveLength(21)
    // Reported work begins a new curve.
    add(180, { type: 'progress.updated', data: { done: 1, total: 10, unit: 'leads', label: null } })
    expect(snapshot.agents[AGENT]!.burn.map(({ done, spent_usd }) => [done, spent_usd])).toEqual([
      [0, '0'],
      [1, '2'],
    ])
    expect(shownAt(180)[0]).toBe('Projection: $20.00 total')
  })

  test('the uptime of an agent that was down for a tenth of its life is 90%', () => {
    const { snapshot, now } = lived(23)
    expect(shownFigures({ ...snapshot.agents[AGENT]!, down_ms: (now - BEGAN) / 10 }, now).uptime_share).toBe('90%')
  })
})
