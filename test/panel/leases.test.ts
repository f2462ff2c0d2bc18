import { copyFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Link, openLink } from '../../scripts/soak/fleet/link.ts'
import { Ledger } from '../../src/budget/ledger.ts'
import { systemClock } from '../../src/core/clock.ts'
import type { NewEvent } from '../../src/core/events.ts'
import { newCallId, newRunId } from '../../src/core/ids.ts'
import { fromUsd, toUsd, usd, ZERO_NANOS } from '../../src/core/money.ts'
import type { Synchronous } from '../../src/db/database.ts'
import { openStore } from '../../src/db/store.ts'
import { ORGANIZATION } from '../../src/panel/organization.ts'
import type { RunningPanel } from '../../src/panel/server.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { JOURNAL, openJournal, UNWRITTEN_SINCE } from '../../src/uplink/journal.ts'
import { readMembership, writeMembership } from '../../src/uplink/membership.ts'
import { awaitSharedBudget, readSharedBudget } from '../../src/uplink/shared-budget.ts'
import { freePort } from '../support/free-port.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { AGENT, joinMachine, type Machine, type MachineOptions, openMachine } from './machine.ts'
import { openTestPanel } from './open-panel.ts'

const dollars = (amount: string) => fromUsd(usd(amount))
const costs = (amount: string) => async () => dollars(amount)

async function openPanel({
  limit = '5',
  ttlMs = 60_000,
  file = temporaryFile('panel.db'),
  port = 0,
  allowedHosts = [] as string[],
} = {}): Promise<RunningPanel> {
  const panel = await openTestPanel({ database: file, port, allowedHosts, ttlMs })
  await panel.fleet.setLimit(
    panel.organizationId,
    { scope: 'organization', name: null },
    { limit: dollars(limit) },
    'ada',
  )
  return panel
}

const started = (name: string): NewEvent => ({
  type: 'agent.started',
  level: 'INFO',
  agent_id: AGENT,
  message: 'started',
  data: {
    run_id: newRunId(),
    name,
    script: '/scout.py',
    environment: 'development',
    pid: process.pid,
    restart: 0,
    limit_usd: usd('50'),
    safety_mode: 'redact',
    detect: ['email'],
  },
})

const invite = ({ fleet, organizationId }: RunningPanel) =>
  fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')

/** A machine that has joined, and its database. */
async function joined(panel: RunningPanel, url = panel.url, options: MachineOptions = {}) {
  const path = temporaryFile()
  await joinMachine(path, url, await invite(panel))
  return { machine: opened(path, options), path }
}

function opened(path: string, options: MachineOptions = {}): Machine {
  const machine = openMachine(path, options)
  onTestFinished(() => machine.close().catch(() => undefined))
  return machine
}

/** Of a call that costs `amount`. */
const outcomeOf = (machine: Machine, amount: string): Promise<string> =>
  machine.call(amount, costs(amount)).then(
    () => 'paid',
    ({ code }) => code as string,
  )

const balance = async ({ fleet, organizationId }: RunningPanel) => {
  const { budgets, leases } = await fleet.read(organizationId)
  const { settled_nanos, escrow_nanos } = budgets[0]!
  return { settled: toUsd(settled_nanos), lent: toUsd(escrow_nanos), open: leases.length }
}

describe('a runtime that has joined a panel', () => {
  test('a joined runtime spends from the shared budget, and returns the rest when it stops', async () => {
    const panel = await openPanel()
    const { machine } = await joined(panel)
    await machine.call('0.5', costs('0.2'))
    await machine.call('0.5', costs('0.3'))
    await machine.close()
    expect(await balance(panel)).toEqual({ settled: '0.5', lent: '0', open: 0 })
    expect(await panel.fleet.problems()).toEqual([])
  })

  test("a joined runtime shows the panel's first answer at its start, and the money it was lent", async () => {
    const panel = await openPanel()
    const { machine } = await joined(panel)
    expect(readSharedBudget(machine.store, machine.leases)).toMatchObject({ can_spend: false, balances: [] })
    const first = await awaitSharedBudget(machine.store, machine.leases)
    expect(first).toMatchObject({ can_spend: true, balances: [{ limit_usd: '5', spent_usd: '0', free_usd: '5' }] })
    await machine.call('0.5', costs('0.2'))
    const known = () => readSharedBudget(machine.store, machine.leases)!
    await expect.poll(() => known().balances[0]).toMatchObject({ limit_usd: '5', spent_usd: '0.2' })
    expect(Number(known().lent_usd)).toBeGreaterThan(0)
    expect(known().lent_usd).toBe((await balance(panel)).lent)
  })

  test('a joined runtime shares a dollar with another one to the last cent, and never more', async () => {
    const panel = await openPanel({ limit: '1' })
    const machines = await Promise.all([joined(panel), joined(panel)])
    let sent = 0
    const callOf = ({ machine }: { machine: Machine }) =>
      machine
        .call('0.1', async () => {
          sent += 1
          return dollars('0.1')
        })
        .then(
          () => 'paid',
          ({ code }) => code as string,
        )
    const codes = await Promise.all(machines.flatMap((one) => Array.from({ length: 15 }, () => callOf(one))))
    expect(codes.filter((code) => !['paid', 'budget_exceeded', 'budget_held'].includes(code))).toEqual([])
    // A call waits two seconds for the others' leases, which a busy machine may exceed.
    for (const one of machines) await expect.poll(() => callOf(one)).toBe('budget_exceeded')
    expect(sent).toBe(10)
    await Promise.all(machines.map(({ machine }) => machine.close()))
    expect(await balance(panel)).toEqual({ settled: '1', lent: '0', open: 0 })
    expect(await panel.fleet.problems()).toEqual([])
  })

  test('a joined runtime also spends from the budgets of its agents and tokens, which refuse only their own calls', async () => {
    const panel = await openPanel({ limit: '50' })
    const { fleet, organizationId } = panel
    await fleet.setLimit(organizationId, { scope: 'token', name: 'notebook' }, { limit: dollars('1') }, 'ada')
    const { machine } = await joined(panel)
    await machine.call('0.7', costs('0.7'), 'notebook')
    await expect(machine.call('0.5', costs('0.5'), 'notebook')).rejects.toMatchObject({ code: 'budget_exceeded' })
    await machine.call('0.5', costs('0.5'), 'ide')
    // Its name comes from the runtime's own record of its agents.
    machine.state.record(started('scout'))
    await fleet.setLimit(
      organizationId,
      { scope: 'agent', name: 'scout' },
      { limit: dollars('0.4'), period: 'month' },
      'ada',
    )
    const outcome = () =>
      machine.call('0.5', costs('0.1')).then(
        () => 'paid',
        (error: { code: string; facts: object }) => error,
      )
    await expect
      .poll(outcome)
      .toMatchObject({ code: 'budget_exceeded', facts: { until: expect.stringMatching(/-01T00/) } })
    await machine.close()
    const { budgets } = await fleet.read(organizationId)
    expect(budgets.find(({ scope }) => scope === 'token')?.settled_nanos).toBe(dollars('0.7'))
    expect(await panel.fleet.problems()).toEqual([])
  })

  test('a joined runtime refuses a call that the shared budget cannot pay, with a hint', async () => {
    const panel = await openPanel({ limit: '0.3' })
    const { machine } = await joined(panel)
    await expect(machine.call('0.5', costs('0.1'))).rejects.toMatchObject({
      code: 'budget_exceeded',
      message: 'a-1 needs up to $0.50 but the shared budget has $0.30 of $0.30 left',
      hint: expect.stringContaining('iron-cage budget add --org'),
      facts: { budget: 'shared' },
    })
    await expect(machine.call('0.4', costs('0.1'))).rejects.toMatchObject({ code: 'budget_exceeded' })
    const exhausted = machine.state.findEvents({ type: 'budget.exhausted', limit: 10 })
    expect(exhausted).toMatchObject([
      { agent_id: AGENT, level: 'CRIT', data: { budget: 'shared', limit_usd: '0.3', needed_usd: '0.5' } },
    ])
    await machine.call('0.3', costs('0.3'))
  })

  test('a joined runtime spends its slice while the panel is gone, then refuses; the panel learns of it when it is back', async () => {
    const file = temporaryFile('panel.db')
    const port = await freePort()
    const panel = await openPanel({ limit: '100', file, port })
    const { machine } = await joined(panel)
    // A slice of $1: a hundredth of the limit.
    await machine.call('0.5', costs('0.1'))
    await panel.close()
    await machine.call('0.5', costs('0.2'))
    await expect(machine.call('0.8', costs('0.1'))).rejects.toMatchObject({
      code: 'budget_unreachable',
      facts: { panel: panel.url },
    })
    expect(machine.events.map(({ type }) => type)).toEqual(['panel.connected', 'panel.lost'])
    const again = await openPanel({ limit: '100', file, port })
    await expect.poll(async () => (await balance(again)).settled).toBe('0.3')
    await machine.call('0.8', costs('0.1'))
  })

  test('a joined runtime stops spending when the panel has not answered for longer than it allows', async () => {
    const panel = await openPanel({ limit: '100', ttlMs: 300 })
    const { machine } = await joined(panel)
    await machine.call('0.5', costs('0.1'))
    await panel.close()
    await systemClock.sleep(350)
    await expect(machine.call('0.1', costs('0.1'))).rejects.toMatchObject({ code: 'budget_unreachable' })
  })

  test('a limit lowered below the settled and lent money lends no more, and recalls money that is not held', async () => {
    const panel = await openPanel({ limit: '100' })
    const { fleet, organizationId } = panel
    const [{ machine }, { machine: other }] = [await joined(panel), await joined(panel)]
    // A slice of $1: a hundredth of the limit.
    await machine.call('0.1', costs('0.1'))
    const { promise: end, resolve: endCall } = Promise.withResolvers<void>()
    const running = machine.call('0.6', async () => {
      await end
      return dollars('0.2')
    })
    await expect.poll(() => balance(panel)).toMatchObject({ settled: '0.1', lent: '0.9' })
    await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('0.5') }, 'ada')
    // It is returned without a request.
    await expect.poll(() => balance(panel)).toMatchObject({ settled: '0.1', lent: '0.6' })
    // The unspent rest is held: it may come back.
    await expect.poll(() => outcomeOf(other, '0.3')).toBe('budget_held')
    await expect.poll(() => outcomeOf(other, '0.41')).toBe('budget_exceeded')
    endCall()
    await running
    await expect.poll(() => balance(panel)).toEqual({ settled: '0.3', lent: '0', open: 0 })
    await expect.poll(() => outcomeOf(other, '0.2')).toBe('paid')
    for (const each of [machine, other]) await expect.poll(() => outcomeOf(each, '0.01')).toBe('budget_exceeded')
    await expect.poll(() => balance(panel)).toEqual({ settled: '0.5', lent: '0', open: 0 })
    expect(await fleet.problems()).toEqual([])
  })

  test('a joined runtime is refused at once when it was revoked', async () => {
    const panel = await openPanel()
    const { machine } = await joined(panel)
    await machine.call('0.1', costs('0.1'))
    const { runtimes } = await panel.fleet.read(panel.organizationId)
    await panel.fleet.revoke(panel.organizationId, runtimes[0]!.id, 'ada')
    await expect
      .poll(() => machine.call('0.1', costs('0.01')).catch(({ code }) => code as string))
      .toBe('runtime_revoked')
  })

  test('a joined runtime returns unused money when others run short', async () => {
    const panel = await openPanel({ limit: '1' })
    const [one, other] = await Promise.all([joined(panel), joined(panel)])
    await one.machine.call('0.8', costs('0.1'))
    // A call waits two seconds, which a busy machine may exceed.
    const outcome = () =>
      other.machine.call('0.8', costs('0.8')).then(
        () => 'paid',
        ({ code }) => code as string,
      )
    await expect.poll(outcome).toBe('paid')
    await Promise.all([one, other].map(({ machine }) => machine.close()))
    expect(await balance(panel)).toEqual({ settled: '0.9', lent: '0', open: 0 })
  })
})

/** A panel, and a link to it that can be cut. */
async function openPanelBehindLink(options: Parameters<typeof openPanel>[0] = {}) {
  const port = await freePort()
  const link = await openLink([port])
  onTestFinished(() => link.close())
  return { panel: await openPanel({ ...options, port, allowedHosts: [new URL(link.url).host] }), link }
}

/** Nothing is returned or reported, as by a server that is killed. */
async function kill(machine: Machine, link: Link): Promise<void> {
  link.cut()
  await machine.close()
  link.mend()
}

describe('a runtime that was killed', () => {
  test("the hold of a killed runtime's call keeps its lease until a person enters the cost, even without a server", async () => {
    const { panel, link } = await openPanelBehindLink()
    const { machine, path } = await joined(panel, link.url)
    const request = { agentId: AGENT, runId: null, kind: 'llm', target: 'openai', model: 'gpt-4' } as const
    const callId = newCallId()
    await machine.ledger.hold({ ...request, callId, maxCost: dollars('0.5') })
    await kill(machine, link)
    await opened(path).close()
    expect(await balance(panel)).toEqual({ settled: '0', lent: '0.5', open: 1 })
    // Commands that work without a server have no leases.
    const store = openStore({ path })
    const state = new StateManager({ store, clock: systemClock, retentionDays: 7, onFault: () => {} })
    const ledger = new Ledger({ store, state, clock: systemClock, warnAt: [1] })
    ledger.resolve({ agentId: AGENT, callId, cost: dollars('0.4'), by: 'ada' })
    for (const part of [ledger, state, store]) part.close()
    await opened(path).close()
    expect(await balance(panel)).toEqual({ settled: '0.4', lent: '0', open: 0 })
    expect(await panel.fleet.problems()).toEqual([])
  })

  test('a runtime that was killed has nothing left of a lease that a person resolved, also when its call turns out to have cost nothing', async () => {
    const { panel, link } = await openPanelBehindLink({ limit: '1', ttlMs: 1_000 })
    const { machine, path } = await joined(panel, link.url)
    const request = { agentId: AGENT, runId: null, kind: 'llm', target: 'openai', model: 'gpt-4' } as const
    const callId = newCallId()
    await machine.ledger.hold({ ...request, callId, maxCost: dollars('0.6') })
    await kill(machine, link)
    const { fleet, organizationId } = panel
    const { id } = (await fleet.read(organizationId)).leases[0]!
    await expect.poll(() => fleet.expire()).toEqual([id])
    await fleet.resolve(organizationId, id, dollars('0'), { by: 'ada', reason: 'the bill' })
    const back = opened(path)
    await expect.poll(() => outcomeOf(back, '0.1')).toBe('paid')
    back.ledger.resolve({ agentId: AGENT, callId, cost: null, by: 'ada' })
    const codes: string[] = []
    for (let n = 0; n < 12; n++) codes.push(await outcomeOf(back, '0.1'))
    expect(codes).toEqual([...Array(9).fill('paid'), ...Array(3).fill('budget_exceeded')])
    await expect.poll(() => back.store.leases.open().map((row) => row.id)).not.toContain(id)
    await back.close()
    expect(await balance(panel)).toEqual({ settled: '1', lent: '0', open: 0 })
  })

  test('a killed runtime that comes back as a copy of yesterday is not believed, and its leases wait for a person', async () => {
    const { panel, link } = await openPanelBehindLink()
    const { machine, path } = await joined(panel, link.url)
    await machine.call('0.1', costs('0.1'))
    await machine.close()
    const backup = `${path}.backup`
    for (const end of ['', '.data-key']) copyFileSync(path + end, backup + end)
    const spending = opened(path)
    await spending.call('0.5', costs('0.5'))
    await kill(spending, link)
    const restored = openStore({ path: backup })
    restored.meta.put(JOURNAL, '')
    restored.close()
    const again = opened(backup)
    await again.call('0.1', costs('0.1'))
    await again.close()
    const warnings = ({ events }: Machine) => events.filter(({ type }) => type === 'lease.quarantined')
    expect(warnings(again)).toMatchObject([
      { level: 'WARN', message: expect.stringContaining('1 lease of this machine: an admin'), data: { count: 1 } },
    ])
    const { leases } = await panel.fleet.read(panel.organizationId)
    expect(leases.map(({ state }) => state)).toEqual(['quarantined'])
    const { machine: healthy } = await joined(panel)
    await expect(healthy.call('4.8', costs('4.8'))).rejects.toMatchObject({
      code: 'budget_held',
      message: expect.stringMatching(/^a-1 needs up to \$4\.80 while machines hold \$\S+ of the shared budget$/),
      hint: expect.stringContaining('what a lost machine holds, an admin resolves: "iron-cage runtimes list"'),
    })
    await panel.fleet.resolve(panel.organizationId, leases[0]!.id, dollars('0.5'), { by: 'ada', reason: 'the bill' })
    expect(await balance(panel)).toEqual({ settled: '0.7', lent: '0', open: 0 })
    const resolved = opened(backup)
    await expect.poll(() => resolved.events.length).toBeGreaterThan(0)
    expect(warnings(resolved)).toEqual([])
    expect(await panel.fleet.problems()).toEqual([])
  })
})

describe('a power failure', () => {
  /** The database is put back as it was right after the machine's start, which is on the disk for any `synchronous`. */
  async function spendAndForget(synchronous: Synchronous) {
    const { panel, link } = await openPanelBehindLink({ limit: '1' })
    const { machine, path } = await joined(panel, link.url, { boot: 'first', synchronous })
    const files = ['', '-wal'].map((end) => ({ file: path + end, bytes: readFileSync(path + end) }))
    await machine.call('0.6', costs('0.6'))
    await kill(machine, link)
    const lose = () => {
      for (const { file, bytes } of files) writeFileSync(file, bytes)
    }
    return { panel, path, lose }
  }

  test('a machine whose spending was lost in a power failure is not believed, and a person enters the amount', async () => {
    const { panel, path, lose } = await spendAndForget('normal')
    lose()
    const back = opened(path, { boot: 'second' })
    // A call waits two seconds for the panel, which a busy machine may exceed.
    await expect.poll(() => outcomeOf(back, '0.6')).toBe('budget_held')
    await expect.poll(() => outcomeOf(back, '0.4')).toBe('paid')
    const { leases } = await panel.fleet.read(panel.organizationId)
    const lost = leases.filter(({ state }) => state === 'quarantined')
    expect(lost).toHaveLength(1)
    await panel.fleet.resolve(panel.organizationId, lost[0]!.id, dollars('0.6'), { by: 'ada', reason: 'the bill' })
    await back.close()
    expect(await balance(panel)).toEqual({ settled: '1', lent: '0', open: 0 })
    expect(await panel.fleet.problems()).toEqual([])
  })

  test('a power failure takes nothing where each commit was written to the disk, and the machine is believed', async () => {
    const { panel, path } = await spendAndForget('full')
    await opened(path, { boot: 'second' }).close()
    expect(await balance(panel)).toEqual({ settled: '0.6', lent: '0', open: 0 })
  })

  test('a power failure after a stop has nothing to take, and the machine is believed', async () => {
    const panel = await openPanel()
    const { machine, path } = await joined(panel, panel.url, { boot: 'first' })
    await machine.call('0.6', costs('0.6'))
    await machine.close()
    const before = openStore({ path })
    const journal = before.meta.get(JOURNAL)
    before.close()
    const back = opened(path, { boot: 'second' })
    expect(back.store.meta.get(JOURNAL)).toBe(journal)
  })

  test('after a power failure a machine presents its leases as fully spent to a panel that forgot them', async () => {
    const { panel, link } = await openPanelBehindLink()
    const { machine, path } = await joined(panel, link.url, { boot: 'first' })
    await machine.call('0.6', costs('0.1'))
    await kill(machine, link)
    const store = openStore({ path })
    onTestFinished(() => store.close())
    store.meta.put(UNWRITTEN_SINCE, 'first')
    openJournal(store, systemClock, 'second')
    const [row] = store.leases.signedAfter('', 2)
    expect(row).toMatchObject({ used_nanos: row!.granted_nanos - row!.returned_nanos, closed_at: expect.any(Number) })
    store.leases.use(row!.id, dollars('0.1'))
    expect(store.leases.signedAfter('', 2)).toEqual([row])
  })
})

test('a token that was copied to another machine spends nothing twice, and ends both when it is revoked', async () => {
  const panel = await openPanel({ limit: '1' })
  const { machine, path } = await joined(panel)
  await machine.call('0.3', costs('0.3'))
  const [own, copy] = [openStore({ path }), openStore({ path: temporaryFile() })]
  writeMembership(copy, readMembership(own)!)
  const copied = copy.path
  for (const store of [own, copy]) store.close()
  const thief = opened(copied)
  let sent = 0.3
  const callOf = (one: Machine) =>
    one
      .call('0.1', async () => {
        sent += 0.1
        return dollars('0.1')
      })
      .then(
        () => 'paid',
        ({ code }) => code as string,
      )
  for (let calls = 0; calls < 10; calls++) await Promise.all([machine, thief].map(callOf))
  expect(sent).toBeLessThanOrEqual(1.000001)
  const { runtimes, leases } = await panel.fleet.read(panel.organizationId)
  // Neither of the two is believed about the first machine's lease.
  expect(leases.map(({ state }) => state)).toContain('quarantined')
  await panel.fleet.revoke(panel.organizationId, runtimes[0]!.id, 'ada')
  for (const one of [machine, thief]) await expect.poll(() => callOf(one)).toBe('runtime_revoked')
})

/** Two machines on one database that was copied while no server ran. */
async function copied(panel: RunningPanel) {
  const path = temporaryFile()
  await joinMachine(path, panel.url, await invite(panel))
  const before = opened(path)
  await before.call('0.1', costs('0.1'))
  await before.close()
  const copy = temporaryFile()
  cpSync(dirname(path), dirname(copy), { recursive: true })
  return [path, copy] as const
}

test('a copied database gets no lease while the other one is active, and takes over once that is silent', async () => {
  const panel = await openPanel({ limit: '3', ttlMs: 3_000 })
  const [path, copy] = await copied(panel)
  const [first, second] = [opened(path), opened(copy)]
  const outcomes = await Promise.all([first, second].map((one) => outcomeOf(one, '0.1')))
  const [spender, other] = outcomes[0] === 'paid' ? [first, second] : [second, first]
  for (let calls = 0; calls < 4; calls++) {
    expect(await Promise.all([spender, other].map((one) => outcomeOf(one, '0.1')))).toEqual([
      'paid',
      'budget_unreachable',
    ])
  }
  expect(other.events.at(-1)).toMatchObject({ type: 'panel.lost', data: { code: 'runtime_copied' } })
  await spender.close()
  await expect.poll(() => outcomeOf(other, '0.1'), { timeout: 30_000 }).toBe('paid')
  await other.close()
  expect(await balance(panel)).toEqual({ settled: '0.7', lent: '0', open: 0 })
  expect(await panel.fleet.problems()).toEqual([])
})

test('a runtime without a panel has no leases, and its calls belong to none', async () => {
  const machine = opened(temporaryFile())
  expect(machine.leases).toBeUndefined()
  await machine.call('0.5', costs('0.5'))
  expect(machine.store.orm.$client.prepare('SELECT lease_id FROM calls').pluck().all()).toEqual([null])
  expect(machine.store.leases.heldOf('none')).toBe(ZERO_NANOS)
})

test('the panel has one organization, which its name finds again', async () => {
  const panel = await openPanel()
  expect(await panel.fleet.openOrganization(ORGANIZATION)).toBe(panel.organizationId)
})
