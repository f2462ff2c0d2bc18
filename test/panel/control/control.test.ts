/** Orders of the panel to a runtime: a real one, with real agents. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, resolve } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import type { AgentId } from '../../../src/core/ids.ts'
import { viewOf } from '../../../src/panel/views.ts'
import { dollars } from '../../support/money.ts'
import { openTestRuntime, type RuntimeOptions, type TestRuntime } from '../../support/runtime.ts'
import { temporaryFile } from '../../support/temporary-file.ts'
import { joinMachine } from '../machine.ts'
import { openTestPanel } from '../open-panel.ts'

type Panel = Awaited<ReturnType<typeof openTestPanel>>

const FOREVER = resolve(import.meta.dirname, '../../agents/programs/forever.py')

async function openPanel(options: Parameters<typeof openTestPanel>[0] = {}): Promise<Panel> {
  const panel = await openTestPanel(options)
  const organization = { scope: 'organization', name: null } as const
  await panel.fleet.setLimit(panel.organizationId, organization, { limit: dollars('100') }, 'ada')
  return panel
}

/** Joins with a database in a new folder. Returns the folder, and the runtime's id and token. */
async function join({ fleet, organizationId, url }: Panel, through = url) {
  const path = temporaryFile('state.db')
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  return { folder: dirname(path), ...(await joinMachine(path, through, invitation)) }
}

const open = (folder: string, options: RuntimeOptions = {}): Promise<TestRuntime> =>
  openTestRuntime({
    folder,
    agent: { sandbox: { level: 'off' }, stop_grace_s: 0.2 },
    environment: { PATH: process.env.PATH! },
    ...options,
  })

const start = async ({ runtime }: TestRuntime): Promise<AgentId> =>
  (await runtime.supervisor.start({ script: FOREVER })).agentId

/** Stands before a panel, on this machine; closed when the test ends. */
async function openFront(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer)
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

async function forward(target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const { authorization = '' } = request.headers
  const answer = await fetch(target + request.url, {
    method: request.method!,
    headers: { authorization, 'content-type': 'application/json' },
    body: chunks.length > 0 ? Buffer.concat(chunks) : null,
  })
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
}

const ada = ({ organizationId }: Panel) => ({ organizationId, name: 'ada' })

const agentOf = async (panel: Panel, id: AgentId) =>
  (await viewOf(panel, panel.organizationId)).runtimes.flatMap(({ agents }) => agents).find((agent) => agent.id === id)

test('an admin pauses, resumes and stops an agent of another machine, which answers and records who it was', async () => {
  const panel = await openPanel()
  const { folder, runtimeId } = await join(panel)
  const cage = await open(folder)
  const agentId = await start(cage)
  for (const [action, state] of [
    ['pause', 'paused'],
    ['resume', 'running'],
    ['stop', 'stopped'],
  ] as const) {
    await panel.orders.create(ada(panel), { runtimeId, agentId, action })
    await expect
      .poll(() => agentOf(panel, agentId), { timeout: 10_000 })
      .toMatchObject({ state, order: { action, state: 'done', by: 'ada' } })
  }
  expect(cage.of('agent.paused')[0]!.data.by).toBe('ada through the Control Panel')
  expect(cage.of('agent.ordered').map(({ data }) => [data.action, data.by, data.ok])).toEqual([
    ['pause', 'ada', true],
    ['resume', 'ada', true],
    ['stop', 'ada', true],
  ])
  const audit = await panel.fleet.audit(panel.organizationId, 100)
  expect(audit.filter(({ target }) => target === agentId).map(({ actor, action }) => `${actor} ${action}`)).toEqual(
    ['order.done', 'agent.stop', 'order.done', 'agent.resume', 'order.done', 'agent.pause'].map((action) =>
      action === 'order.done' ? `machine ${action}` : `ada ${action}`,
    ),
  )
  const local = cage.database.prepare("SELECT actor, action FROM audit WHERE actor = 'ada'").all()
  expect(local).toEqual(['pause', 'resume', 'stop'].map((action) => ({ actor: 'ada', action: `agent.${action}` })))
})

test('an order waits for a machine that is away, and the last one to an agent counts', async () => {
  const panel = await openPanel()
  let isCut = false
  const { url, server } = await openFront((request, response) => {
    if (isCut) return void request.socket.destroy()
    void forward(panel.url, request, response)
  })
  const { folder, runtimeId } = await join(panel, url)
  const cage = await open(folder)
  const agentId = await start(cage)
  await expect.poll(async () => (await agentOf(panel, agentId))?.state).toBe('running')
  isCut = true
  server.closeAllConnections()
  await cage.event('panel.lost')
  await panel.orders.create(ada(panel), { runtimeId, agentId, action: 'pause' })
  await panel.orders.create(ada(panel), { runtimeId, agentId, action: 'stop' })
  expect((await agentOf(panel, agentId))?.order).toMatchObject({ action: 'stop', state: 'pending', message: null })
  expect(cage.of('agent.ordered')).toEqual([])
  isCut = false
  await expect
    .poll(() => agentOf(panel, agentId), { timeout: 15_000 })
    .toMatchObject({ state: 'stopped', order: { action: 'stop', state: 'done' } })
  expect(cage.of('agent.ordered').map(({ data }) => data.action)).toEqual(['stop'])
})

test('an order for an agent that is gone is answered as failed', async () => {
  const panel = await openPanel()
  const { folder, runtimeId } = await join(panel)
  const cage = await open(folder)
  const gone = 'agent-of-yesterday' as AgentId
  const { id } = await panel.orders.create(ada(panel), { runtimeId, agentId: gone, action: 'stop' })
  const answered = async () => (await panel.orders.last(panel.organizationId)).get(`${runtimeId} ${gone}`)
  await expect.poll(answered).toMatchObject({ id, state: 'failed', message: expect.stringContaining(gone) as string })
  expect(cage.of('agent.ordered')[0]!.data).toMatchObject({ ok: false })
  await panel.fleet.revoke(panel.organizationId, runtimeId, 'ada')
  await expect(panel.orders.create(ada(panel), { runtimeId, agentId: gone, action: 'stop' })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('was removed') as string,
  })
})

test('a runtime that knows the state is answered when it changes, and never of another runtime', async () => {
  // No request is answered for having waited long enough.
  const never = { cancel: () => {}, unref: () => never }
  const panel = await openPanel({ clock: { ...systemClock, after: () => never } })
  const [one, other] = [await join(panel), await join(panel)]
  const poll = async (token: string, known?: string) => {
    const query = known === undefined ? '' : `?known=${known}`
    const answer = await fetch(`${panel.url}/api/control${query}`, { headers: { authorization: `Bearer ${token}` } })
    return (await answer.json()) as { revision: string; orders: { action: string }[]; limits: string }
  }
  const before = await poll(one.token)
  const theirs = await poll(other.token)
  const waiting = poll(one.token, before.revision)
  const theirsWaiting = poll(other.token, theirs.revision)
  const order = { runtimeId: one.runtimeId, agentId: 'a-1', action: 'stop' } as const
  const { id } = await panel.orders.create(ada(panel), order)
  expect((await waiting).orders).toMatchObject([{ id, agent_id: 'a-1', action: 'stop', by: 'ada' }])
  const foreign = await fetch(`${panel.url}/api/control/orders/${id}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${other.token}`, 'content-type': 'application/json' },
    body: '{"ok":true,"message":"stopped"}',
  })
  expect(foreign.status).toBe(404)
  const organization = { scope: 'organization', name: null } as const
  await panel.fleet.setLimit(panel.organizationId, organization, { limit: dollars('7') }, 'ada')
  const changed = await theirsWaiting
  expect(changed.orders).toEqual([])
  expect(changed.limits).not.toBe(theirs.limits)
})

test('calls continue and no order is obeyed under any faulty answer of the panel', async () => {
  const panel = await openPanel()
  const order = { id: 'order-1', agent_id: 'a-1', action: 'stop', by: 'ada' }
  const answers: ((response: ServerResponse) => void)[] = [
    () => {},
    (response) => void response.socket?.destroy(),
    (response) => void response.writeHead(500).end('<html>'),
    (response) => void response.end('null'),
    (response) =>
      void response.end(JSON.stringify({ revision: 'x', limits: '', orders: [{ ...order, action: 'sell' }] })),
    (response) => void response.end(JSON.stringify({ revision: 'x', limits: '', orders: Array(2_000).fill(order) })),
    (response) => {
      const more = () => response.destroyed || response.write('x'.repeat(100_000), more)
      more()
    },
  ]
  const asked = answers.map(() => 0)
  let now = 0
  const { url, server } = await openFront((request, response) => {
    if (!request.url!.startsWith('/api/control')) return void forward(panel.url, request, response)
    asked[now]! += 1
    answers[now]!(response)
  })
  const { folder } = await join(panel, url)
  const cage = await open(folder)
  const agent = cage.addAgent()
  for (now = 0; now < answers.length; now++) {
    server.closeAllConnections()
    cage.runtime.state.record({ type: 'panel.connected', level: 'OK', message: 'back', data: { url } })
    await expect.poll(() => asked[now]).toBeGreaterThan(0)
    expect((await agent.chat()).status).toBe(200)
  }
  now = answers.length - 1
  expect(cage.of('agent.ordered')).toEqual([])
})
