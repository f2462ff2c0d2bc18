/** Commands of a machine and of people against a Control Panel: signing in, and how a machine leaves. */
import path from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { openLink } from '../../scripts/soak/fleet/link.ts'
import type { NewEvent } from '../../src/core/events.ts'
import { newCallId, newRunId } from '../../src/core/ids.ts'
import { nanodollars, toUsd, usd } from '../../src/core/money.ts'
import { AGENT, type Machine, openMachine } from '../panel/machine.ts'
import { openTestPanel } from '../panel/open-panel.ts'
import { freePort } from '../support/free-port.ts'
import { dollars } from '../support/money.ts'
import { openPlace } from './support.ts'

const WHOLE = { scope: 'organization', name: null } as const
const NOBODY = { team: null, user: null }

test('IRON_API_URL is enough to sign in to a Control Panel and to generate a token there', async () => {
  const panel = await openTestPanel()
  const { fleet, organizationId } = panel
  const person = { username: 'grace', role: 'admin', password: 'correct horse' } as const
  await fleet.people.add({ organizationId, name: 'ada' }, person)
  const place = openPlace()
  const env = { IRON_API_URL: panel.url }
  expect((await place.type(['token', 'generate', '--name', 'ci', '--role', 'viewer'], { env })).code).toBe(4)
  const login = await place.type(['login', 'grace'], { stdin: person.password, env })
  expect(login).toMatchObject({ code: 0, out: '', err: expect.stringContaining('signed in as grace (admin)') })
  const made = await place.type(['token', 'generate', '--name', 'ci', '--role', 'viewer'], { env })
  expect(made).toMatchObject({ code: 0, out: expect.stringMatching(/^ic_\S+\n$/) })
  expect(await fleet.credentials.identify(made.out.trim())).toMatchObject({
    role: 'viewer',
    name: 'ci',
    organizationId,
  })
  // The other variable counts first.
  const elsewhere = { ...env, IRON_CAGE_URL: 'http://127.0.0.1:1' }
  expect((await place.type(['tokens', 'list'], { env: elsewhere })).code).toBe(7)
})

/** A machine in a new place that has joined a panel with $5, behind a link that can be cut. */
async function openJoined() {
  const port = await freePort()
  const link = await openLink([port])
  onTestFinished(() => link.close())
  const panel = await openTestPanel({ port, allowedHosts: [new URL(link.url).host] })
  const { fleet, organizationId } = panel
  await fleet.setLimit(organizationId, WHOLE, { limit: dollars('5') }, 'ada')
  const place = openPlace()
  /** Which organization. */
  const join = async (id = organizationId) => {
    const token = await fleet.credentials.invite(id, NOBODY, 'x', 'ada')
    expect((await place.type(['join', link.url, '--token', token, '--name', 'laptop'])).code).toBe(0)
  }
  await join()
  const books = async () => {
    const { budgets, leases, runtimes } = await fleet.read(organizationId)
    const { settled_nanos, escrow_nanos } = budgets[0]!
    return {
      ...{ settled: toUsd(settled_nanos), lent: toUsd(escrow_nanos) },
      ...{ leases: leases.map(({ state }) => state), isMember: runtimes[0]!.revoked_at === null },
    }
  }
  const open = () => {
    const machine = openMachine(path.join(place.folder, 'iron_state.db'))
    onTestFinished(() => machine.close().catch(() => undefined))
    return machine
  }
  /** Nothing is returned or reported, as by a server that is killed. */
  const kill = async (machine: Machine) => {
    link.cut()
    await machine.close()
    link.mend()
  }
  return { panel, link, place, join, books, open, kill }
}

const addressFound: NewEvent = {
  ...{ type: 'pii.found', level: 'CRIT', agent_id: AGENT, message: 'an address' },
  data: {} as Extract<NewEvent, { type: 'pii.found' }>['data'],
}

const pay = (machine: Machine, amount: string) => machine.call(amount, async () => dollars(amount))

/** It is still running when its server is killed. */
async function holdCall(machine: Machine): Promise<string> {
  machine.state.record({
    ...{ type: 'agent.started', level: 'INFO', agent_id: AGENT, message: 'started' },
    data: {
      ...{ run_id: newRunId(), name: 'scout', script: '/scout.py', environment: 'development', pid: process.pid },
      ...{ restart: 0, limit_usd: usd('50'), safety_mode: 'redact', detect: ['email'] },
    },
  })
  const callId = newCallId()
  const request = { agentId: AGENT, runId: null, kind: 'llm', target: 'openai', model: 'gpt-4' } as const
  await machine.ledger.hold({ ...request, callId, maxCost: dollars('0.5') })
  return callId
}

test('a machine that leaves reports its spending, returns the rest, and is a member no more', async () => {
  const { panel, place, books, open, kill } = await openJoined()
  const machine = open()
  await pay(machine, '0.2')
  await kill(machine)
  expect(await books()).toMatchObject({ isMember: true, leases: ['active'] })
  expect((await books()).lent).not.toBe('0')
  const left = await place.type(['leave', '--json'])
  expect([left.code, JSON.parse(left.out)]).toEqual([
    0,
    { url: expect.stringContaining('http'), abandoned: 0, all_events_sent: true },
  ])
  expect(await books()).toEqual({ settled: '0.2', lent: '0', leases: [], isMember: false })
  expect(await panel.fleet.problems()).toEqual([])
  expect((await place.type(['status'])).out).not.toContain('panel')
  expect(await place.type(['leave'])).toMatchObject({
    code: 6,
    err: expect.stringContaining('joined no Control Panel'),
  })
})

test('a machine with an unresolved call leaves only after a person enters its cost', async () => {
  const { place, books, open, kill } = await openJoined()
  const machine = open()
  const callId = await holdCall(machine)
  await kill(machine)
  const refused = await place.type(['leave'])
  expect(refused).toMatchObject({ code: 6, out: '' })
  expect(refused.err).toMatch(/1 lease of http:\S+ cannot be accounted for yet\n {2}hint: .*iron-cage budget calls/)
  expect(await books()).toEqual({ settled: '0', lent: '0.5', leases: ['active'], isMember: true })
  expect((await place.type(['budget', 'charge', AGENT, callId, '0.4'])).code).toBe(0)
  expect((await place.type(['leave'])).code).toBe(0)
  expect(await books()).toEqual({ settled: '0.4', lent: '0', leases: [], isMember: false })
})

test("leave --abandon keeps the machine's leases open on the panel for a person, even without an answer", async () => {
  const { link, place, books, open, kill } = await openJoined()
  const machine = open()
  await holdCall(machine)
  await kill(machine)
  const left = await place.type(['leave', '--abandon'])
  expect(left).toMatchObject({ code: 0, out: `left ${link.url}\n` })
  expect(left.err).toBe('to be resolved there: 1 lease ("iron-cage runtimes list")\n')
  expect(await books()).toEqual({ settled: '0', lent: '0.5', leases: ['active'], isMember: false })
  const away = await openJoined()
  const other = away.open()
  await pay(other, '0.2')
  await away.kill(other)
  away.link.cut()
  expect(await away.place.type(['leave'])).toMatchObject({
    code: 6,
    err: expect.stringContaining('cannot be accounted'),
  })
  const abandoned = await away.place.type(['leave', '--abandon'])
  expect(abandoned).toMatchObject({ code: 0, err: expect.stringContaining('to be resolved there') })
  expect(abandoned.err).toContain('the panel lacks what happened here last')
  expect(await away.place.type(['leave'])).toMatchObject({ code: 6, err: expect.stringContaining('joined no') })
  away.link.mend()
  // The panel has received no message about it.
  expect(await away.books()).toMatchObject({ isMember: true, leases: ['active'] })
})

test('a machine that rejoins is counted once, and the panel receives no event from before it joined', async () => {
  const { panel, place, join, open } = await openJoined()
  const { fleet, organizationId, telemetry } = panel
  const work = async (...amounts: string[]) => {
    const machine = open()
    for (const amount of amounts) await pay(machine, amount)
    machine.state.record(addressFound)
    await machine.close()
  }
  const seenBy = async (organization: string) => {
    const spent = await telemetry.store.spending(organization, '2000-01-01', 'model')
    const incidents = await telemetry.store.incidents(organization, { before: null, limit: 100 })
    return [spent.map(({ calls, cost }) => [calls, toUsd(nanodollars(Number(cost)))]), incidents.length]
  }
  await work('0.1', '0.1', '0.1')
  expect((await place.type(['leave'])).code).toBe(0)
  // As a new machine.
  await work('0.5')
  await join()
  await work('0.1')
  expect(await seenBy(organizationId)).toEqual([[[4, '0.4']], 2])
  const { budgets, runtimes } = await fleet.read(organizationId)
  expect(toUsd(budgets[0]!.settled_nanos)).toBe('0.4')
  expect((await place.type(['leave'])).code).toBe(0)
  const other = await fleet.openOrganization('other')
  await fleet.setLimit(other, WHOLE, { limit: dollars('5') }, 'ada')
  await join(other)
  await work('0.2')
  expect(await seenBy(other)).toEqual([[[1, '0.2']], 1])
  expect(await seenBy(organizationId)).toEqual([[[4, '0.4']], 2])
  const lost = (await telemetry.store.cursors(organizationId)).concat(await telemetry.store.cursors(other))
  expect(lost.map((cursor) => cursor.lost)).toEqual([...runtimes, 'other'].map(() => 0))
})

test('a machine that leaves sends its unsent events first, and reports a failure to do so', async () => {
  const { panel, link, place, open } = await openJoined()
  const { organizationId, telemetry } = panel
  const doneOf = async () => [...(await telemetry.states(organizationId)).values()].map(({ snapshot }) => snapshot.seq)
  const machine = open()
  await pay(machine, '0.1')
  link.cut()
  machine.state.record({ type: 'agent.paused', level: 'INFO', agent_id: AGENT, message: 'paused', data: { by: 'ada' } })
  const { seq } = machine.state.read()
  await machine.close()
  link.mend()
  expect(await doneOf()).not.toContain(seq)
  expect(await place.type(['leave', '--abandon'])).toMatchObject({ code: 0, err: '' })
  expect((await doneOf())[0]).toBeGreaterThanOrEqual(seq)
})
