/**
 * One number everywhere: the amounts in the CSV, the report, the API, the snapshot and the tables add up to the same
 * string.
 */

import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type CostReport, costReport } from '../../../src/budget/report.ts'
import { systemClock } from '../../../src/core/clock.ts'
import { toAgentId, toCallId } from '../../../src/core/ids.ts'
import {
  addUsd,
  fromUsd,
  type Nanodollars,
  nanodollars,
  toUsd,
  type Usd,
  usd,
  ZERO_USD,
} from '../../../src/core/money.ts'
import { openStore } from '../../../src/db/store.ts'
import { answers, startFakeService } from '../../breaker/support.ts'
import { answer, resets, sends, streams } from '../../support/provider.ts'
import { openTestRuntime, type TestAgent, type TestRuntime } from '../../support/runtime.ts'
import { turnsDuring } from '../../support/turns.ts'

const sum = (amounts: Usd[]): Usd => amounts.reduce(addUsd, ZERO_USD)
const costs = (parts: { cost_usd: Usd }[]): Usd => sum(parts.map(({ cost_usd }) => cost_usd))

/** Calls of every kind and end: whole, streamed, broken, refused, of services, reported, corrected. */
async function spendInManyWays(cage: TestRuntime, agent: TestAgent, token: string): Promise<void> {
  const usage = (tokens: number) => ({ usage: { prompt_tokens: 137, completion_tokens: tokens } })
  for (const [index, model] of ['penny', 'plain', 'dime', 'plain', 'penny', 'plain'].entries()) {
    cage.provider.doesOnce(answer(usage(index + 1)))
    await agent.chat({ model, max_tokens: 9 })
  }
  cage.provider.doesOnce(resets)
  await agent.chat({ model: 'plain' })
  cage.provider.doesOnce(sends(429, {}, { error: {} }))
  await agent.chat()
  cage.provider.doesOnce(streams('data: {"choices":[{"delta":{"content":"half"}}]}\n\n', 'ends'))
  await agent.chat({ model: 'plain', stream: true })
  await agent.message({ model: 'plain' })
  // Refused without a row that held money: no call of that cost.
  await agent.chat({ model: 'without-a-price' })
  await agent.service('linkedin_api', '/me')
  await cage.post('/api/run/charges', { service: 'serp_api', cost_usd: '0.000000001' }, agent.token)
  const { calls } = (await cage.get(`/api/agents/${agent.id}/calls?kind=llm&state=charged`, token)).json() as {
    calls: { id: string }[]
  }
  const correct = (call: string, cost_usd: string, reason: string) =>
    cage.post(`/api/agents/${agent.id}/calls/${call}/correct`, { cost_usd, reason }, token)
  expect((await correct(calls[0]!.id, '0.123456789', '=invoice, "May"; ask jane@acme.com')).status).toBe(200)
  expect((await correct(calls[1]!.id, '0', 'twice')).status).toBe(200)
}

/** RFC 4180, as far as it goes here. */
function readCsv(text: string): Record<string, string>[] {
  const lines = [...text.matchAll(/((?:"(?:[^"]|"")*"|[^\r\n"])*)\r?\n/g)].map((match) => match[1]!)
  const cells = (line: string) =>
    [...line.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)].map(
      ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain!,
    )
  const [header, ...rows] = lines.map(cells)
  return rows.map((row) => Object.fromEntries(header!.map((name, column) => [name, row[column]!])))
}

test('the rows of the CSV, the report, the status, the snapshot and SQL have the same sums to the last digit', async () => {
  const service = await startFakeService()
  service.behave(answers(200))
  const cage = await openTestRuntime({
    services: { linkedin_api: { base_url: service.url, cost_per_call_usd: '0.1' } },
  })
  const agent = cage.addAgent({ limit: '50' })
  const { access_token } = await cage.login()
  await spendInManyWays(cage, agent, access_token)

  const get = async (path: string) => (await cage.get(path, access_token)).json()
  const csv = await cage.get(`/api/agents/${agent.id}/report?format=csv`, access_token)
  const rows = readCsv(csv.text)
  const report = (await get(`/api/agents/${agent.id}/report`)) as {
    agent: {
      spent_usd: string
      by_model: Record<string, { calls: number; cost_usd: Usd }>
      by_service: Record<string, { cost_usd: Usd }>
    }
    budget: { spent_usd: string; held_usd: string }
    costs: CostReport
  }
  const server = (await get('/api/report')) as { costs: CostReport }
  const { snapshot } = (await get('/api/snapshot')) as { snapshot: { agents: Record<string, { spent_usd: string }> } }
  const { calls } = (await get(`/api/agents/${agent.id}/calls?limit=1000`)) as { calls: { cost_usd: Usd }[] }
  const inSql = cage.database.prepare('SELECT sum(cost_nanos) FROM calls').pluck().get() as Nanodollars

  expect(csv.headers['content-type']).toBe('text/csv; charset=utf-8')
  const refused = cage.uncharged().length
  expect(refused).toBeGreaterThan(0)
  expect(rows).toHaveLength(cage.rows().length + refused)
  expect(rows.length).toBeGreaterThanOrEqual(13)
  const { agent: view, budget, costs: own } = report
  const sums = {
    sql: toUsd(inSql),
    csv: sum(rows.map(({ cost_usd }) => usd(cost_usd!))),
    calls: costs(calls),
    ledger: agent.balance().spent,
    status: budget.spent_usd,
    view: view.spent_usd,
    snapshot: snapshot.agents[agent.id]!.spent_usd,
    views: addUsd(costs(Object.values(view.by_model)), costs(Object.values(view.by_service))),
    report: own.spent_usd,
    parts: addUsd(costs(own.by_model), costs(own.by_service)),
    hours: costs(own.by_hour),
    agents: costs(own.by_agent),
    server: server.costs.spent_usd,
  }
  expect(new Set(Object.values(sums)), JSON.stringify(sums)).toEqual(new Set([sums.sql]))
  expect(fromUsd(sums.sql)).toBeGreaterThan(0)
  // Part by part as well: the report from the ledger, the view from the events.
  for (const part of own.by_model) expect({ name: part.name, ...view.by_model[part.name] }).toMatchObject(part)
  expect(own.by_model.map(({ name }) => name).sort()).toEqual(Object.keys(view.by_model).sort())
  const paid = rows.filter(({ kind, state }) => kind !== 'correction' && state === 'charged').length
  for (const parts of [own.by_agent, own.by_hour])
    expect(parts.reduce((all, { calls: one }) => all + one, 0)).toBe(paid)
  const { days } = (await get('/api/spending?days=1')) as { days: [{ models: { name: string; calls: number }[] }] }
  const named = ({ name, calls: count }: { name: string; calls: number }) => [name, count]
  expect(days[0].models.map(named).sort()).toEqual([...own.by_model, ...own.by_service].map(named).sort())
  for (const { name, cost_usd } of own.by_service)
    expect([name, view.by_service[name]?.cost_usd]).toEqual([name, cost_usd])
  expect(own.rows).toMatchObject({ held: 0, unresolved: 0, released: 1 + refused })
  expect([own.held_usd, budget.held_usd]).toEqual(['0', '0'])
})

test('a reason reaches the CSV as a text that no spreadsheet runs, less personal data', async () => {
  const cage = await openTestRuntime({ services: {} })
  const agent = cage.addAgent({ limit: '50' })
  const { access_token } = await cage.login()
  await agent.chat()
  const path = `/api/agents/${agent.id}`
  const [{ id }] = ((await cage.get(`${path}/calls`, access_token)).json() as { calls: [{ id: string }] }).calls
  const reason = '=HYPERLINK("http://x"), ask jane@acme.com'
  await cage.post(`${path}/calls/${id}/correct`, { cost_usd: '0.001', reason }, access_token)
  const { text } = await cage.get(`${path}/report?format=csv`, access_token)
  expect(text).not.toContain('jane@acme.com')
  expect(readCsv(text)[0]).toMatchObject({
    kind: 'correction',
    corrects: id,
    cost_usd: '-0.004',
    reason: expect.stringMatching(/^'=HYPERLINK/),
  })
})

describe('rows of the ledger', () => {
  test('rows of the ledger are filtered by state, kind and time', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '50' })
    const { access_token } = await cage.login()
    await agent.chat()
    cage.provider.doesOnce(sends(400, {}, { error: {} }))
    await agent.chat()
    await cage.post('/api/run/charges', { service: 'serp_api', cost_usd: '0.1' }, agent.token)
    const found = async (query: string) => {
      const reply = await cage.get(`/api/agents/${agent.id}/calls?${query}`, access_token)
      return reply.status === 200 ? (reply.json() as { calls: { target: string }[] }).calls.length : reply.status
    }
    const tomorrow = new Date(Date.now() + 86_400_000).toISOString()
    expect(await found('')).toBe(3)
    expect(await found('state=charged')).toBe(2)
    expect(await found('state=released')).toBe(1)
    expect(await found('state=charged&kind=reported')).toBe(1)
    expect(await found('from=2026-01-01')).toBe(3)
    expect(await found(`from=${tomorrow}`)).toBe(0)
    expect(await found(`to=${tomorrow}&kind=llm`)).toBe(2)
    expect(await found('to=2026-01-01T00:00:00%2B02:00')).toBe(0)
    for (const bad of ['state=open', 'kind=gift', 'from=yesterday', 'to=2026-13-01', 'limit=0', 'stat=held']) {
      expect([bad, await found(bad)]).toEqual([bad, 400])
    }
  })

  test.each([
    ['correct', {}],
    ['correct', { cost_usd: '1' }],
    ['correct', { cost_usd: '-1', reason: 'x' }],
    ['correct', { cost_usd: '1', reason: ' ' }],
    ['resolve', {}],
    ['resolve', { outcome: 'forgotten' }],
    ['resolve', { outcome: 'released', cost_usd: '1' }],
    ['resolve', { outcome: 'charged', cost_usd: 'NaN' }],
  ])('rows of the ledger are not changed by %s %j', async (what, body) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const { access_token } = await cage.login()
    await agent.chat()
    const before = cage.rows()
    const path = `/api/agents/${agent.id}/calls/${before[0]!.id}/${what}`
    expect((await cage.post(path, body, access_token)).status).toBe(400)
    expect(cage.rows()).toEqual(before)
  })

  test('a charged call cannot be resolved, and an unknown one cannot be corrected', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const { access_token } = await cage.login()
    await agent.chat()
    const path = `/api/agents/${agent.id}/calls`
    const resolve = await cage.post(`${path}/${cage.rows()[0]!.id}/resolve`, { outcome: 'released' }, access_token)
    expect([resolve.status, resolve.json()]).toMatchObject([409, { error: { code: 'conflict' } }])
    const correct = await cage.post(`${path}/call-0/correct`, { cost_usd: '1', reason: 'x' }, access_token)
    expect([correct.status, correct.json()]).toMatchObject([404, { error: { code: 'not_found' } }])
  })
})

test('a long ledger is summed in slices, to the same total', async () => {
  const store = openStore({ path: ':memory:' })
  onTestFinished(() => store.close())
  const calls = store.calls
  const started_at = '2026-01-02T03:04:05.000Z'
  store.transaction(() => {
    for (let number = 0; number < 2_100; number++) {
      const [id, agent_id] = [
        toCallId(`call-${String(number).padStart(5, '0')}`),
        toAgentId(`a-${number % 3}`),
      ] as const
      const call = {
        id,
        agent_id,
        run_id: null,
        unit: null,
        lease_id: null,
        target: 'openai',
        held_nanos: nanodollars(9),
        started_at,
      }
      const end = { estimated: false, price: null, usage: null, status: 200, code: null, ended_at: started_at }
      calls.insertHeld({ ...call, kind: 'llm', model: `model-${number % 2}` })
      calls.end({ ...end, agent_id, id, state: 'charged', cost_nanos: nanodollars(number) })
    }
  })
  const turns = { count: 0 }
  const turning = setInterval(() => (turns.count += 1), 0)
  const all = await costReport(calls, {}, () => ({ kind: 'all' }))
  clearInterval(turning)
  expect(turns.count).toBeGreaterThan(0)
  expect(all.spent_usd).toBe(toUsd(nanodollars((2_099 * 2_100) / 2)))
  expect(all.rows.charged).toBe(2_100)
  const { by_agent, by_model, by_hour, by_tag } = all
  for (const parts of [by_agent, by_model, by_hour, by_tag]) expect(costs(parts)).toBe(all.spent_usd)
  const each = await Promise.all(
    all.by_agent.map(({ name }) => costReport(calls, { agentId: toAgentId(name) }, () => undefined)),
  )
  expect(each.map(({ spent_usd }) => spent_usd)).toEqual(all.by_agent.map(({ cost_usd }) => cost_usd))
})

test('the status lists every budget that pays and how the projection is made', async () => {
  const budget = { per_run_usd: '5', server_usd: '20', period: { every: 'month' } }
  // In the middle of a month: at its end the period would begin anew.
  const clock = { ...systemClock, now: () => Date.parse('2026-11-15T12:00:00Z') }
  const cage = await openTestRuntime({ budget, clock })
  const agent = cage.addAgent({ limit: '10' })
  const { access_token } = await cage.login()
  for (const done of [1, 2]) {
    await agent.chat({ max_tokens: 5 })
    await cage.post('/api/run/progress', { done, total: 10, unit: 'leads' }, agent.token)
  }
  const status = (await cage.get(`/api/agents/${agent.id}/status`, access_token)).json()
  const amounts = { spent_usd: '0.01', held_usd: '0' }
  expect(status).toMatchObject({
    budget: { limit_usd: '10', ...amounts },
    budgets: [
      { scope: 'agent', limit_usd: '10', ...amounts, remaining_usd: '9.99' },
      { scope: 'run', limit_usd: '5', ...amounts, remaining_usd: '4.99' },
      { scope: 'server', limit_usd: '20', ...amounts, remaining_usd: '19.99' },
    ],
    figures: {
      average: '$0.005 avg/lead',
      projection: 'Projection: $0.05 total',
      projection_method: '$0.01 spent + 8 leads × $0.005 (average of the last 2)',
    },
  })
  const { starts_at, ends_at } = status.period as { starts_at: string; ends_at: string }
  expect([starts_at, ends_at].map((at) => at.slice(7))).toEqual(['-01T00:00:00.000Z', '-01T00:00:00.000Z'])
})

test('the document draws spending over time until the agent reports progress', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const { access_token } = await cage.login()
  const document = async () => (await cage.get(`/api/agents/${agent.id}/report?format=html`, access_token)).text
  expect(await document()).not.toContain('Spending over')
  await agent.chat({ max_tokens: 5 })
  expect(await document()).toMatch(/aria-label="Spending over time: \$0\.005 after \d+ s"/)
  const data = { done: 1, total: 10, unit: 'leads', label: null }
  cage.runtime.state.record({ type: 'progress.updated', level: 'INFO', agent_id: agent.id, message: '1 / 10', data })
  expect(await document()).toContain('aria-label="Spending over the work done: $0.005 after 1"')
})

test('a report of very many calls never blocks the event loop, in each format', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const { access_token } = await cage.login()
  const insert = new Sqlite(join(cage.folder, 'state.db'))
  const row = insert.prepare(
    `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, cost_nanos, started_at, ended_at)
     VALUES (?, ?, 'llm', 'openai', 'penny', 'charged', 5, 0, '2026-01-01', '2026-01-01')`,
  )
  insert.transaction(() => {
    for (let number = 0; number < 20_000; number++) row.run(agent.id, `call-${String(number).padStart(9, '0')}`)
  })()
  insert.close()
  for (const [format, least] of [
    ['csv', 20_000 / 500],
    ['html', 20_000 / 500],
    ['json', 20_000 / 500],
  ] as const) {
    const path = `/api/agents/${agent.id}/report?format=${format}`
    const { turns, result } = await turnsDuring(() => cage.get(path, access_token))
    expect([format, result.status]).toEqual([format, 200])
    expect(turns, format).toBeGreaterThan(least)
  }
})

test('a report sums up models beyond the two hundred dearest, and its parts still add up', async () => {
  const store = openStore({ path: ':memory:' })
  onTestFinished(() => store.close())
  const insert = store.orm.$client.prepare(
    `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, cost_nanos, started_at, ended_at)
     VALUES ('w-1', ?, 'llm', 'openai', ?, 'charged', 5, ?, '2026-01-01', '2026-01-01')`,
  )
  for (let number = 1; number <= 300; number++) insert.run(`call-${number}`, `ft:made-up:${number}`, number)
  const { by_model, spent_usd } = await costReport(store.calls, { agentId: toAgentId('w-1') }, () => undefined)
  expect(by_model).toHaveLength(201)
  expect(by_model[0]).toMatchObject({ name: 'ft:made-up:300' })
  expect(by_model.at(-1)).toEqual({ name: '100 others', calls: 100, cost_usd: toUsd(nanodollars(5_050)) })
  expect(costs(by_model)).toBe(spent_usd)
})
