/** Money through the API: budgets of operators, charges and reports of agents. */
import { describe, expect, test } from 'vitest'
import { openTestRuntime } from '../support/runtime.ts'

const BAD_AMOUNTS: unknown[] = [
  ...['-1', 'NaN', 'Infinity', '1e309', '', '50abc', '0x10', '1_000', '1,000', '5e1', '٥٠', '1.0000000001', '9000001'],
  ...[-1, Number.POSITIVE_INFINITY, 1e-12, 9_000_001, null, true, {}, [], [5]],
]

describe('a budget', () => {
  test('a budget is set and added to by an admin, live', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '50' })
    const { access_token } = await cage.login()
    const change = (body: object) => cage.post(`/api/agents/${agent.id}/budget`, body, access_token, 'PATCH')
    expect((await change({ add_usd: '25' })).json()).toMatchObject({
      budget: { limit_usd: '75', spent_usd: '0', held_usd: '0', remaining_usd: '75', used_percent: 0, warned: false },
      agent: { limit_usd: '75' },
      figures: { spent: '$0.00 / $75.00' },
    })
    expect((await change({ limit_usd: '$12.50' })).json()).toMatchObject({ budget: { limit_usd: '12.5' } })
    expect((await change({ limit_usd: 0 })).json()).toMatchObject({ budget: { limit_usd: '0' } })
    expect((await agent.chat()).status).toBe(402)
    expect(cage.of('budget.raised').map(({ message }) => message)).toEqual([
      'Budget raised from $50.00 to $75.00 by operator',
      'Budget lowered from $75.00 to $12.50 by operator',
      'Budget lowered from $12.50 to $0.00 by operator',
    ])
  })

  test.each(BAD_AMOUNTS)('a budget of %j is refused by name, and nothing changes', async (value) => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '50' })
    const { access_token } = await cage.login()
    for (const field of ['limit_usd', 'add_usd']) {
      const reply = await cage.post(`/api/agents/${agent.id}/budget`, { [field]: value }, access_token, 'PATCH')
      expect(reply.status).toBe(400)
      expect((reply.json().error as { message: string }).message).toMatch(/expected/)
    }
    expect(agent.balance().limit).toBe('50')
    expect(cage.of('budget.raised')).toEqual([])
  })

  test.each([{}, { limit_usd: '5', add_usd: '5' }, { limit_usd: '5', by: 'me' }, { budget: 5 }])(
    'a budget change of %j is refused',
    async (body) => {
      const cage = await openTestRuntime()
      const agent = cage.addAgent({ limit: '50' })
      const { access_token } = await cage.login()
      expect((await cage.post(`/api/agents/${agent.id}/budget`, body, access_token, 'PATCH')).status).toBe(400)
      expect(agent.balance().limit).toBe('50')
    },
  )

  test('a budget that would be more than can be counted is refused', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '9000000' })
    const { access_token } = await cage.login()
    const reply = await cage.post(`/api/agents/${agent.id}/budget`, { add_usd: '9000000' }, access_token, 'PATCH')
    expect([reply.status, reply.json()]).toMatchObject([400, { error: { code: 'invalid_amount' } }])
    expect(agent.balance().limit).toBe('9000000')
  })

  test('raced by fifty additions gets them all', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0' })
    const { access_token } = await cage.login()
    const add = () => cage.post(`/api/agents/${agent.id}/budget`, { add_usd: '0.1' }, access_token, 'PATCH')
    await Promise.all(Array.from({ length: 50 }, add))
    expect(agent.balance().limit).toBe('5')
  })
})

describe("the limits beside the agents' own", () => {
  test("the limits beside the agents' own can be read, set and raised by an admin while the server runs, and the audit has who did it", async () => {
    const cage = await openTestRuntime({ budget: { server_usd: '20', per_run_usd: '5' } })
    const agent = cage.addAgent({ limit: '10' })
    const { access_token } = await cage.login()
    const change = async (scope: string, body: object) =>
      (await cage.post(`/api/budgets/${scope}`, body, access_token, 'PATCH')).json()
    await agent.chat({ max_tokens: 5 })
    expect(await change('server', { add_usd: '25' })).toEqual({
      server: { limit_usd: '45', spent_usd: '0.005', held_usd: '0', remaining_usd: '44.995' },
      run: { limit_usd: '5' },
      period: null,
      shared: null,
    })
    expect(await change('run', { limit_usd: '$7.50' })).toMatchObject({ run: { limit_usd: '7.5' } })
    expect((await cage.get('/api/budgets', access_token)).json()).toMatchObject({
      server: { limit_usd: '45' },
      run: { limit_usd: '7.5' },
    })
    expect((await cage.get(`/api/agents/${agent.id}/status`, access_token)).json().budgets).toMatchObject([
      { scope: 'agent', limit_usd: '10' },
      { scope: 'run', limit_usd: '7.5' },
      { scope: 'server', limit_usd: '45' },
    ])
    expect(await change('nothing', { limit_usd: '1' })).toMatchObject({ error: { code: 'not_found' } })
    expect(await change('server', { limit_usd: '-1' })).toMatchObject({ error: { code: 'bad_request' } })
    expect(await change('server', { add_usd: '9000000' })).toMatchObject({ error: { code: 'invalid_amount' } })
    const { rows } = (await cage.get('/api/audit?limit=100', access_token)).json() as {
      rows: { action: string; actor: string; target: string; details: object }[]
    }
    const changes = rows.filter(({ action }) => action === 'budget.changed').reverse()
    expect(changes.map(({ actor, target, details }) => [actor, target, details])).toEqual([
      ['operator', 'server', { from_usd: '20', limit_usd: '45' }],
      ['operator', 'run', { from_usd: '5', limit_usd: '7.5' }],
    ])
  })

  test.each([
    ['server', { server_usd: '0.001' }, 'the server has $0.001 of $0.001 left', 'iron-cage budget add --server <usd>'],
    ['run', { per_run_usd: '0.001' }, 'its run has $0.001 of $0.001 left', 'iron-cage budget add --run <usd>'],
  ])(
    "a limit beside the agents' own refuses a call by name, with the command that raises just that one: %s",
    async (scope, budget, what, command) => {
      const cage = await openTestRuntime({ budget })
      const agent = cage.addAgent()
      const refused = await agent.chat({ max_tokens: 5 })
      expect(refused.status).toBe(402)
      expect(refused.json()).toMatchObject({ error: { message: expect.stringContaining(what) } })
      expect(refused.text).toContain(command)
      expect(cage.of('alert.raised').map(({ data }) => data.budget)).toEqual([scope])
      const { access_token } = await cage.login()
      await cage.post(`/api/budgets/${scope}`, { add_usd: '1' }, access_token, 'PATCH')
      expect((await agent.chat({ max_tokens: 5 })).status).toBe(200)
      expect(agent.balance().limit).toBe('10')
    },
  )

  test("the limits beside the agents' own that the configuration does not give cannot be changed", async () => {
    const cage = await openTestRuntime()
    const { access_token } = await cage.login()
    for (const scope of ['server', 'run']) {
      const reply = await cage.post(`/api/budgets/${scope}`, { limit_usd: '5' }, access_token, 'PATCH')
      expect([reply.status, reply.json()]).toMatchObject([409, { error: { code: 'conflict' } }])
    }
    expect((await cage.get('/api/budgets', access_token)).json()).toEqual({
      server: null,
      run: null,
      period: null,
      shared: null,
    })
  })
})

describe('the reports of an agent', () => {
  test("a reported cost is charged to the agent's budget up to the limit", async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '0.25' })
    const charge = (cost_usd: unknown, service = 'serp_api') =>
      cage.post('/api/run/charges', { service, cost_usd }, agent.token)
    const replies = await Promise.all(Array.from({ length: 10 }, () => charge('0.10')))
    expect(replies.map(({ status }) => status).sort()).toEqual([200, 200, ...Array(8).fill(402)])
    expect(agent.balance()).toEqual({ limit: '0.25', spent: '0.2', held: '0' })
    expect(cage.runtime.state.read().agents[agent.id]?.spent_usd).toBe('0.2')
    expect((await charge('0.05')).json()).toMatchObject({ budget: { remaining_usd: '0', used_percent: 100 } })
    for (const bad of BAD_AMOUNTS) expect((await charge(bad)).status, JSON.stringify(bad)).toBe(400)
    expect(agent.balance().spent).toBe('0.25')
  })

  test('a reported service may have the name of a property that every object has', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent()
    const names = ['constructor', '__proto__', 'toString', 'hasOwnProperty']
    for (const service of names) {
      const reply = await cage.post('/api/run/charges', { service, cost_usd: '0.01' }, agent.token)
      expect([service, reply.status]).toEqual([service, 200])
    }
    const { access_token } = await cage.login()
    const { snapshot } = (await cage.get('/api/snapshot', access_token)).json() as {
      snapshot: { agents: Record<string, { by_service: object; spent_usd: string }> }
    }
    expect(snapshot.agents[agent.id]?.spent_usd).toBe('0.04')
    expect(Object.keys(snapshot.agents[agent.id]!.by_service)).toEqual(names)
    expect((await agent.chat()).status).toBe(200)
  })

  test('an agent reads the budget, state and settings of its own run only', async () => {
    const cage = await openTestRuntime()
    const [agent] = [cage.addAgent({ limit: '1', name: 'first' }), cage.addAgent({ limit: '2', name: 'second' })]
    await agent.chat()
    expect((await cage.get('/api/run', agent.token)).json()).toEqual({
      agent_id: agent.id,
      run_id: agent.runId,
      name: 'first',
      state: 'running',
      safety_mode: 'redact',
      budget: {
        limit_usd: '1',
        spent_usd: '0.005',
        held_usd: '0',
        remaining_usd: '0.995',
        used_percent: 0.5,
        warned: false,
      },
    })
  })

  test('a reported cost is one number everywhere: ledger, snapshot, status, figures, header', async () => {
    const cage = await openTestRuntime()
    const agent = cage.addAgent({ limit: '1' })
    const reply = await agent.chat({ model: 'plain' })
    const { access_token } = await cage.login()
    const {
      agent: view,
      budget,
      figures,
    } = (await cage.get(`/api/agents/${agent.id}/status`, access_token)).json() as Record<
      string,
      Record<string, string>
    >
    const { calls } = (await cage.get(`/api/agents/${agent.id}/calls`, access_token)).json() as {
      calls: { cost_usd: string }[]
    }
    const cost = reply.headers['x-iron-cage-cost-usd']
    expect(cost).toBe('0.000075')
    expect([view?.spent_usd, budget?.spent_usd, calls[0]?.cost_usd, agent.balance().spent]).toEqual([
      cost,
      cost,
      cost,
      cost,
    ])
    expect(figures?.spent).toBe('$0.000075 / $1.00')
    expect(budget?.remaining_usd).toBe(reply.headers['x-iron-cage-remaining-usd'])
  })
})
