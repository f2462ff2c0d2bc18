/**
 * Agents ask for more of a shared budget: the chosen budget, the limit of requests, the person who decides, and the
 * delivery of the decision.
 */
import { dirname } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { Member } from '../../../src/panel/access/credentials.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import type { RequestView } from '../../../src/panel/fleet-view.ts'
import type { AgentRequest } from '../../../src/protocol/control-messages.ts'
import { dollars } from '../../support/money.ts'
import { openTestRuntime } from '../../support/runtime.ts'
import { temporaryFile } from '../../support/temporary-file.ts'
import { joinMachine } from '../machine.ts'
import { openTestPanel } from '../open-panel.ts'
import { type Cluster, startCluster } from '../postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const ADDRESSES = {
  'an SQLite file': async () => temporaryFile('panel.db'),
  PostgreSQL: () => cluster.newDatabase(),
}

describe.each(Object.entries(ADDRESSES))('on a panel on %s', (_, addressOf) => {
  /** An organization with $10, a team with $5, and the user ada with $3. */
  async function open() {
    const database = await openPanelDatabase(await addressOf())
    onTestFinished(() => database.close())
    const fleet = new Fleet(database)
    const organizationId = await fleet.openOrganization('acme')
    const limit = (scope: 'organization' | 'team' | 'user' | 'agent' | 'token', name: string | null, usd: string) =>
      fleet.setLimit(organizationId, { scope, name }, { limit: dollars(usd) }, 'root')
    await limit('organization', null, '10')
    await limit('team', 'research', '5')
    await limit('user', 'ada', '3')
    const join = async (name: string, user: string | null = null): Promise<Member> => {
      const whose = { team: 'research', user }
      const invitation = await fleet.credentials.invite(organizationId, whose, name, 'root')
      const joined = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, name, '1')
      return { role: 'runtime', organizationId, id: joined.runtimeId, name }
    }
    const ask = (member: Member, agent: string, usd = '1', reason = 'more leads', token: string | null = null) =>
      fleet.agentRequests.ask(member, { names: { agent, token }, amount: dollars(usd), reason })
    const limitOf = async (budget: string) =>
      (await fleet.read(organizationId)).budgets.find(({ scope, name }) => `${scope} ${name}` === budget)!.limit_nanos
    return { database, fleet, organizationId, limit, join, ask, limitOf }
  }

  const admin = (organizationId: string, name: string, userId: string | null = null): Member => ({
    ...{ role: 'admin', organizationId, id: `token-${name}`, name, userId },
  })

  test('an agent asks for the budget of its path that has the least left, and for no other', async () => {
    const { fleet, organizationId, limit, join, ask } = await open()
    const laptop = await join('laptop', 'ada')
    const server = await join('server')
    // Poorer, but of others.
    await limit('team', 'sales', '0')
    await limit('user', 'bob', '0')
    await limit('agent', 'other', '0')
    await limit('token', 'other', '0')
    expect(await ask(laptop, 'scout')).toMatchObject({ budget: 'user ada', state: 'pending', decision: null })
    expect((await ask(server, 'scout')).budget).toBe('team research')
    await limit('agent', 'scout', '0.5')
    expect((await ask(server, 'scout', '2')).budget).toBe('agent scout')
    expect((await ask(server, 'reader', '2')).budget).toBe('team research')
    expect((await ask(server, 'reader', '3', 'more', 'other')).budget).toBe('token other')
    await limit('organization', null, '0.25')
    expect((await ask(laptop, 'scout', '2')).budget).toBe('organization acme')
    const asked = await fleet.requests.list(organizationId)
    expect(new Set(asked.map(({ asked_by }) => asked_by))).toEqual(
      new Set(['scout on laptop', 'scout on server', 'reader on server']),
    )
  })

  test('the same ask is one request while it waits, also when it is repeated at once, and a new one after that', async () => {
    const { fleet, organizationId, join, ask } = await open()
    const laptop = await join('laptop')
    // Each on its own connection.
    await Promise.all(Array.from({ length: 8 }, () => fleet.read(organizationId)))
    const answers = await Promise.all(Array.from({ length: 8 }, () => ask(laptop, 'scout')))
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1)
    const [first] = answers as [AgentRequest]
    expect((await ask(laptop, 'scout', '2')).id).not.toBe(first.id)
    expect((await ask(laptop, 'other')).id).not.toBe(first.id)
    await fleet.requests.decide(admin(organizationId, 'grace'), first.id, 'rejected', 'too much')
    expect(await fleet.agentRequests.find(laptop, 'scout', first.id)).toMatchObject({
      ...{ state: 'rejected', decision: 'too much' },
    })
    expect((await ask(laptop, 'scout')).id).not.toBe(first.id)
  })

  test('few requests of one agent, of one machine and of all agents wait, and people ask all the same', async () => {
    const { fleet, organizationId, join, ask } = await open()
    const laptop = await join('laptop')
    const full = { code: 'conflict' }
    for (const usd of ['1', '2', '3']) await ask(laptop, 'scout', usd)
    await expect(ask(laptop, 'scout', '4')).rejects.toMatchObject(full)
    expect((await ask(laptop, 'scout', '3')).add_usd).toBe('3')
    for (let agent = 0; agent < 17; agent++) await ask(laptop, `agent-${agent}`)
    await expect(ask(laptop, 'one more')).rejects.toMatchObject(full)
    for (let machine = 0; machine < 4; machine++) {
      const other = await join(`server-${machine}`)
      for (let agent = 0; agent < 20; agent++) await ask(other, `agent-${agent}`)
    }
    await expect(ask(await join('last'), 'scout')).rejects.toMatchObject(full)
    const bob = admin(organizationId, 'bob')
    await fleet.requests.create(bob, { scope: 'organization', name: null }, dollars('1'), 'mine')
    const pending = (await fleet.requests.list(organizationId)).filter(({ state }) => state === 'pending')
    expect(pending).toHaveLength(101)
  })

  test('an approval raises that limit once and is in the audit with who asked, and the agent reads it', async () => {
    const { fleet, organizationId, join, ask, limitOf } = await open()
    const laptop = await join('laptop')
    const { id } = await ask(laptop, 'scout', '2.5')
    const grace = admin(organizationId, 'grace')
    await fleet.requests.decide(grace, id, 'approved', 'agreed')
    await expect(fleet.requests.decide(grace, id, 'approved', 'agreed')).rejects.toMatchObject({ code: 'conflict' })
    expect(await limitOf('team research')).toBe(dollars('7.5'))
    expect(await fleet.agentRequests.find(laptop, 'scout', id)).toMatchObject({ state: 'approved', decision: 'agreed' })
    const [entry] = await fleet.audit(organizationId, 1)
    expect(entry).toMatchObject({ action: 'request.approved', actor: 'grace', target: id })
    expect(entry!.details).toContain('scout on laptop')
  })

  test('a request is read by its own agent alone', async () => {
    const { fleet, organizationId, join, ask } = await open()
    const [laptop, server] = [await join('laptop'), await join('server')]
    const { id } = await ask(laptop, 'scout')
    const gone = { code: 'not_found' }
    await expect(fleet.agentRequests.find(laptop, 'other', id)).rejects.toMatchObject(gone)
    await expect(fleet.agentRequests.find(server, 'scout', id)).rejects.toMatchObject(gone)
    const ofPerson = await fleet.requests.create(
      admin(organizationId, 'bob'),
      { scope: 'organization', name: null },
      dollars('1'),
      'mine',
    )
    await expect(fleet.agentRequests.find(laptop, 'scout', ofPerson.id)).rejects.toMatchObject(gone)
  })

  test("people cannot decide on requests of their own machines' agents, by session or token, and others can", async () => {
    const { fleet, organizationId, limit, join, ask } = await open()
    const root = { organizationId, name: 'root' }
    const ada = await fleet.people.add(root, { username: 'ada', role: 'admin', password: 'correct horse' })
    const issue = (name: string, by: string, userId: string | null) =>
      fleet.credentials.issueToken({ organizationId, role: 'admin', name, by, userId, lifeMs: null })
    const own = [
      admin(organizationId, 'ada', ada.id),
      { ...admin(organizationId, 'ci', ada.id), id: (await issue('ci', 'ada', ada.id)).id },
      { ...admin(organizationId, 'spare'), id: (await issue('spare', 'ada', null)).id },
      admin(organizationId, 'ada'),
    ]
    await limit('user', 'ada', '1')
    const laptop = await join('laptop', 'ada')
    const { id } = await ask(laptop, 'scout')
    for (const member of own) {
      await expect(fleet.requests.decide(member, id, 'approved', 'mine')).rejects.toMatchObject({ code: 'forbidden' })
      await expect(fleet.requests.decide(member, id, 'rejected', 'mine')).rejects.toMatchObject({ code: 'forbidden' })
    }
    await fleet.requests.decide(admin(organizationId, 'grace'), id, 'approved', 'agreed')
    // A machine without an owner: the admin who invited it holds nothing of it.
    const { id: ofServer } = await ask(await join('server'), 'scout')
    await fleet.requests.decide(admin(organizationId, 'root'), ofServer, 'approved', 'agreed')
  })

  test('a machine that was removed asks for nothing', async () => {
    const { fleet, organizationId, join, ask } = await open()
    const laptop = await join('laptop')
    await fleet.revoke(organizationId, laptop.id, 'root')
    await expect(ask(laptop, 'scout')).rejects.toMatchObject({ code: 'runtime_revoked' })
  })
})

test('an agent asks through its server, an admin sees who asks and approves, and the agent reads it and goes on', async () => {
  const panel = await openTestPanel()
  const { fleet, organizationId } = panel
  const budget = { scope: 'organization', name: null } as const
  await fleet.setLimit(organizationId, budget, { limit: dollars('0.01') }, 'root')
  const path = temporaryFile('state.db')
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'root')
  await joinMachine(path, panel.url, invitation)
  const cage = await openTestRuntime({ folder: dirname(path), budget: { on_exhausted: 'refuse' } })
  const agent = cage.addAgent({ name: 'scout' })
  await cage.runtime.sharedBudget()
  const chat = () => agent.chat({ model: 'dime', max_tokens: 1 })
  expect((await chat()).status).toBe(402)

  const reason = 'the leads of ada@example.com'
  const ask = (usd = '1') => cage.post('/api/run/budget-requests', { add_usd: usd, reason }, agent.token)
  const asked = (await ask()).json()
  expect(asked).toMatchObject({ state: 'pending', budget: 'organization default', add_usd: '1', decision: null })
  expect((await ask()).json()).toEqual(asked)
  expect(cage.of('budget.requested')).toEqual([])

  const token = await fleet.credentials.createToken(organizationId, 'admin', 'grace', 'root')
  const send = async (method: string, at: string, body?: object) =>
    fetch(panel.url + at, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: body ? JSON.stringify(body) : null,
    })
  const { requests } = (await (await send('GET', '/api/fleet/requests')).json()) as { requests: RequestView[] }
  expect(requests).toMatchObject([{ id: asked.id, asked_by: 'scout on machine', add_usd: '1', state: 'pending' }])
  expect(requests[0]!.reason).toMatch(/^the leads of \[/)
  expect(JSON.stringify(requests)).not.toContain('ada@example.com')
  const approved = await send('POST', `/api/fleet/requests/${asked.id}/approve`, { reason: 'agreed' })
  expect(approved.status).toBe(204)

  const read = async () => (await cage.get(`/api/run/budget-requests/${asked.id}`, agent.token)).json()
  expect(await read()).toMatchObject({ state: 'approved', decision: 'agreed' })
  await expect.poll(async () => (await chat()).status).toBe(200)
  // Another agent of the same machine does not read it.
  const other = cage.addAgent({ name: 'other' })
  expect((await cage.get(`/api/run/budget-requests/${asked.id}`, other.token)).status).toBe(404)

  // Requests for this server's own limits are decided here.
  const poor = cage.addAgent({ name: 'poor', limit: '0.001' })
  const local = await cage.post('/api/run/budget-requests', { add_usd: '1', reason }, poor.token)
  expect(local.json()).toMatchObject({ budget: 'agent', state: 'pending' })
  expect(cage.of('budget.requested')).toHaveLength(1)
  await panel.close()
  const away = await ask('2')
  expect([away.status, away.json()]).toMatchObject([503, { error: { code: 'panel_unreachable' } }])
})
