import { expect, test } from 'vitest'
import { toAgentId, toRunId } from '../../src/core/ids.ts'
import { usd } from '../../src/core/money.ts'
import { budgetWarned } from '../support/events.ts'
import { circuitOpened, openWorld, piiFound } from './support.ts'

const raised = (world: ReturnType<typeof openWorld>) =>
  world.events.filter((event) => event.type === 'alert.raised').map(({ data }) => [data.kind, data.title, data.detail])

test('a budget warning becomes an alert that names the amounts', async () => {
  await using world = openWorld()
  world.record(budgetWarned)
  expect(raised(world)).toEqual([
    [
      'budget_warning',
      'Budget warning',
      "$45.07 of $50.00 spent (90.1%). Calls that don't fit the remaining budget are blocked. To approve more: iron-cage budget add lg-7a3f9c2d 25",
    ],
  ])
  const [alert] = world.state.read().alerts
  expect(alert).toMatchObject({
    kind: 'budget_warning',
    level: 'WARN',
    agent_id: 'lg-7a3f9c2d',
    acknowledged: false,
    delivered: [],
    source_seq: world.events[0]!.seq,
  })
})

test('a spending alert gives the amount above the limit and the reason', async () => {
  await using world = openWorld()
  const data = { spent_usd: usd('6'), limit_usd: usd('5'), needed_usd: null }
  const warned = {
    ...{ spent_usd: usd('6'), limit_usd: usd('5'), suggested_increase_usd: usd('3') },
    ...{ threshold: 0.9, used_percent: 120 },
  }
  world.record({ ...budgetWarned, type: 'budget.warned', data: warned })
  world.record({ type: 'budget.exhausted', level: 'CRIT', agent_id: toAgentId('a'), message: '', data })
  const why =
    'That is $1.00 above the limit: the provider used more than the call had asked for. Further calls are blocked.'
  expect(raised(world)).toEqual([
    [
      'budget_warning',
      'Budget warning',
      `$6.00 of $5.00 spent (120.0%). ${why} To approve more: iron-cage budget add lg-7a3f9c2d 3`,
    ],
    [
      'budget_exhausted',
      'Budget exhausted',
      `$6.00 of $5.00 spent. ${why} To approve more: iron-cage budget add a 3. To start a stopped agent again: iron-cage resume a`,
    ],
  ])
})

test('the alert of an exhausted budget names the call that did not fit', async () => {
  const again = 'To start a stopped agent again: iron-cage resume a'
  await using world = openWorld()
  const data = { spent_usd: usd('49.95'), limit_usd: usd('50'), needed_usd: usd('0.12') }
  world.record({ type: 'budget.exhausted', level: 'CRIT', agent_id: toAgentId('a'), message: '', data })
  world.record({
    type: 'budget.exhausted',
    level: 'CRIT',
    agent_id: toAgentId('a'),
    message: '',
    data: { ...data, needed_usd: null },
  })
  world.record({
    type: 'budget.exhausted',
    level: 'CRIT',
    agent_id: toAgentId('a'),
    message: '',
    data: { ...data, budget: 'server', needed_usd: null },
  })
  expect(raised(world)).toEqual([
    [
      'budget_exhausted',
      'Budget exhausted',
      `$49.95 of $50.00 spent. A call of up to $0.12 does not fit. To approve more: iron-cage budget add a 25. ${again}`,
    ],
    [
      'budget_exhausted',
      'Budget exhausted',
      `$49.95 of $50.00 spent. To approve more: iron-cage budget add a 25. ${again}`,
    ],
    [
      'budget_exhausted',
      'Budget exhausted — the whole server',
      `$49.95 of $50.00 spent. To approve more: iron-cage budget add --server 25. ${again}`,
    ],
  ])
})

test('a circuit alerts once a trip, not once a failed probe', async () => {
  await using world = openWorld()
  world.record(circuitOpened)
  world.record({ type: 'circuit.half_opened', level: 'INFO', message: '', data: { circuit: 'linkedin_api' } })
  world.record(circuitOpened)
  expect(raised(world)).toEqual([
    [
      'circuit_opened',
      'Circuit open — linkedin_api',
      '5 failures in a row (429 Too Many Requests). Serving cached data; retrying in 30 min. To close it now: iron-cage circuits reset linkedin_api',
    ],
  ])
  world.record({ type: 'circuit.closed', level: 'OK', message: '', data: { circuit: 'linkedin_api', by: 'probe' } })
  world.record(circuitOpened)
  expect(raised(world)).toHaveLength(2)
  // By its name alone: a title may hold that of another one too.
  expect(world.state.read().alerts.map(({ circuit }) => circuit)).toEqual(['linkedin_api', 'linkedin_api'])
})

test('the alert of a finding names its type, place and unit', async () => {
  const list = 'To list the incidents: iron-cage incidents --agent lg-7a3f9c2d'
  await using world = openWorld()
  world.record(piiFound())
  world.record({
    ...piiFound(null),
    data: { ...piiFound(null).data, pii_type: 'phone', risk: 'MEDIUM', action: 'warn', place: 'output' },
  })
  expect(raised(world)).toEqual([
    ['pii_found', 'Personal data found — e-mail address', `In a reply of lead 67, redacted (risk HIGH). ${list}`],
    ['pii_found', 'Personal data found — phone number', `In the output, left in place (risk MEDIUM). ${list}`],
  ])
})

test('a crash loop and a block alert, other ends of a run do not', async () => {
  await using world = openWorld()
  const exit = { run_id: toRunId('run-1'), exit_code: 1, signal: null, restart_in_ms: null }
  const exited = (state: 'failed' | 'crash_loop' | 'completed', reason: string) =>
    world.record({
      type: 'agent.exited',
      level: 'ERROR',
      agent_id: toAgentId('a'),
      message: '',
      data: { ...exit, state, reason },
    })
  exited('failed', 'exit code 1')
  exited('completed', 'exit code 0')
  exited('crash_loop', 'Crashed 5 times within 60 s')
  world.record({ type: 'agent.stopped', level: 'INFO', message: '', data: { reason: 'operator', survivors: [] } })
  world.record({ type: 'agent.stopped', level: 'CRIT', message: '', data: { reason: 'pii', survivors: [] } })
  expect(raised(world)).toEqual([
    [
      'crash_loop',
      'Crash loop',
      'Crashed 5 times within 60 s. Restarts are disabled. Find the cause: iron-cage logs a. After a fix: iron-cage resume a',
    ],
    ['blocked', 'Agent blocked', 'Personal data was found and safety.mode is "block", so the agent was stopped.'],
  ])
})

test('acknowledging is recorded once, and an unknown alert is not found', async () => {
  await using world = openWorld()
  world.record(budgetWarned)
  const { data } = await world.seen('alert.raised')
  world.alerts.acknowledge(data.alert_id, 'admin')
  world.alerts.acknowledge(data.alert_id, 'someone else')
  expect(world.events.filter(({ type }) => type === 'alert.acknowledged')).toHaveLength(1)
  expect(world.state.read().alerts[0]!.acknowledged).toBe(true)
  expect(() => world.alerts.acknowledge('alert-0', 'admin')).toThrow(expect.objectContaining({ code: 'not_found' }))
})
