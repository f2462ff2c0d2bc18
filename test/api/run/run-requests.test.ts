/** An agent of a server without a Control Panel asks for more, and a person decides on the dashboard. */
import { expect, test } from 'vitest'
import { openTestRuntime, type TestRuntime } from '../../support/runtime.ts'

type Asked = { id: string; state: string; budget: string; add_usd: string; reason: string }

const asking = (cage: TestRuntime, token: string) => ({
  ask: (add_usd: unknown = '25', reason: unknown = 'more leads') =>
    cage.post('/api/run/budget-requests', { add_usd, reason }, token),
  read: async (id: string) => (await cage.get(`/api/run/budget-requests/${id}`, token)).json() as unknown as Asked,
})

/** As an admin. */
async function change(cage: TestRuntime, method: 'POST' | 'PATCH', path: string, body: object = {}): Promise<void> {
  const { access_token } = await cage.login()
  expect((await cage.post(path, body, access_token, method)).status).toBeLessThan(300)
}

const requestsOf = (cage: TestRuntime) =>
  cage.runtime.state.read().alerts.filter(({ kind }) => kind === 'budget_requested')

test('a request is an alert that names the command; raising the limit approves it, and the agent reads that', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent({ limit: '50' })
  const { ask, read } = asking(cage, agent.token)
  const asked = (await ask()).json() as unknown as Asked
  expect(asked).toMatchObject({
    state: 'pending',
    budget: 'agent',
    add_usd: '25',
    reason: 'more leads',
    decision: null,
  })
  expect((await ask()).json()).toEqual(asked)
  expect(requestsOf(cage)).toMatchObject([
    {
      title: 'More budget requested',
      level: 'WARN',
      detail: `The agent asks for $25.00 more: "more leads". To approve it: iron-cage budget add ${agent.id} 25`,
      agent_id: agent.id,
      acknowledged: false,
      request: { id: asked.id, state: 'pending' },
    },
  ])
  await change(cage, 'PATCH', `/api/agents/${agent.id}/budget`, { add_usd: '25' })
  expect(await read(asked.id)).toMatchObject({ ...asked, state: 'approved' })
  expect(requestsOf(cage)).toMatchObject([{ acknowledged: true }])
  expect(((await ask()).json() as unknown as Asked).id).not.toBe(asked.id)
})

test('acknowledging the alert without a raise rejects the request, also after a restart', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const { ask, read } = asking(cage, agent.token)
  const { id } = (await ask()).json() as unknown as Asked
  await change(cage, 'POST', `/api/alerts/${requestsOf(cage)[0]!.id}/ack`)
  expect((await read(id)).state).toBe('rejected')
  await change(cage, 'PATCH', `/api/agents/${agent.id}/budget`, { add_usd: '1' })
  expect((await read(id)).state).toBe('rejected')
  await cage.close()
  const again = await openTestRuntime({ folder: cage.folder })
  expect(requestsOf(again)).toMatchObject([{ request: { id, state: 'rejected' } }])
})

test('a request is about the budget with the least left: of the agent, its run or the server, never of a part of its work', async () => {
  const cage = await openTestRuntime({ budget: { server_usd: '5', per_run_usd: '8' } })
  const { token } = cage.addAgent({ limit: '20' })
  const { ask } = asking(cage, token)
  const part = (await cage.post('/api/run/begin', { budget_usd: '0.001' }, token)).json() as { token: string }
  const ofPart = (await asking(cage, part.token).ask()).json() as unknown as Asked
  expect(ofPart.budget).toBe('server')
  await change(cage, 'PATCH', '/api/budgets/server', { limit_usd: '30' })
  expect((await asking(cage, token).read(ofPart.id)).state).toBe('approved')
  expect((await ask()).json()).toMatchObject({ budget: 'run' })
  expect(requestsOf(cage)[0]).toMatchObject({
    title: 'More budget requested — this run',
    detail: expect.stringContaining('budget add --run 25'),
  })
})

test('a bad request is refused, three requests of an agent may wait, and those of others are not shown', async () => {
  const cage = await openTestRuntime()
  const { ask } = asking(cage, cage.addAgent().token)
  for (const amount of ['0', '-1', 'ten', null, '1e3']) expect((await ask(amount)).status).toBe(400)
  for (const reason of ['', 'x'.repeat(501), 'a\0b', '\ud800', 7, null])
    expect((await ask('1', reason)).status).toBe(400)
  expect(cage.of('budget.requested')).toEqual([])
  const ids: string[] = []
  for (const amount of ['1', '2', '3']) ids.push(((await ask(amount)).json() as unknown as Asked).id)
  const refused = await ask('4')
  expect([refused.status, refused.json()]).toMatchObject([409, { error: { code: 'conflict' } }])
  const other = asking(cage, cage.addAgent().token)
  expect((await other.ask('4')).status).toBe(200)
  expect(await other.read(ids[0]!)).toMatchObject({ error: { code: 'not_found' } })
})

test('personal data in a reason is redacted wherever the request is, and is an incident', async () => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const asked = (await asking(cage, agent.token).ask('1', 'the list of ada@example.com')).json() as unknown as Asked
  expect(asked.reason).toMatch(/^the list of \[/)
  expect(cage.of('pii.found')).toHaveLength(1)
  expect(JSON.stringify([cage.events, cage.runtime.state.read()])).not.toContain('ada@example.com')
})
