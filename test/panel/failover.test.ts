/** The loans of a Control Panel after its database has lost its last commits. */
import { copyFileSync, renameSync } from 'node:fs'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { toUsd } from '../../src/core/money.ts'
import type { RunningPanel } from '../../src/panel/server.ts'
import { freePort } from '../support/free-port.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { joinMachine, type Machine, openMachine } from './machine.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'

const LIMIT = '2'
const CALL = '0.05'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

/** A panel whose database may be exchanged, and machines that share $2. */
async function openFleet(machines: number, database?: string) {
  const port = await freePort()
  const notices: string[] = []
  const open = (database: string) =>
    openTestPanel({ database, port, ttlMs: 60_000, onNotice: (text) => notices.push(text) })
  const address = database ?? (await cluster.newDatabase())
  let panel = await open(address)
  const organization = { scope: 'organization', name: null } as const
  await panel.fleet.setLimit(panel.organizationId, organization, { limit: dollars(LIMIT) }, 'ada')
  const joined: Machine[] = []
  const paths: string[] = []
  for (let at = 0; at < machines; at++) {
    const path = temporaryFile()
    const { fleet, organizationId } = panel
    await joinMachine(
      path,
      panel.url,
      await fleet.credentials.invite(organizationId, { team: null, user: null }, `m${at}`, 'ada'),
    )
    paths.push(path)
    joined.push(opened(path))
  }
  const truth = { calls: 0 }
  const call = (machine: Machine) =>
    machine
      .call(CALL, async () => {
        truth.calls += 1
        return dollars(CALL)
      })
      .then(
        () => 'paid',
        ({ code }) => code as string,
      )
  return {
    address,
    notices,
    machines: joined,
    paths,
    truth,
    call,
    panel: (): RunningPanel => panel,
    closePanel: () => panel.close(),
    openPanel: async (database: string) => {
      panel = await open(database)
    },
  }
}

function opened(path: string): Machine {
  const machine = openMachine(path)
  onTestFinished(() => machine.close().catch(() => undefined))
  return machine
}

const budgetOf = async ({ fleet, organizationId }: RunningPanel) => {
  const { settled_nanos, escrow_nanos } = (await fleet.read(organizationId)).budgets[0]!
  return { settled: toUsd(settled_nanos), lent: toUsd(escrow_nanos) }
}

/** Calls until the money is spent, by all machines at once; those that find too little try again. */
async function spendAll({ machines, call }: Awaited<ReturnType<typeof openFleet>>): Promise<void> {
  await Promise.all(
    machines.map(async (machine) => {
      for (let refusals = 0; refusals < 5; ) {
        const outcome = await call(machine)
        if (outcome === 'budget_exceeded') return
        refusals = outcome === 'paid' ? 0 : refusals + 1
      }
    }),
  )
}

test.each([
  {
    what: 'a server that followed asynchronously is promoted',
    lose: async (address: string) => {
      const follower = await cluster.follower()
      return async () => {
        await cluster.crash()
        onTestFinished(() => cluster.start())
        return follower.promote(address)
      }
    },
  },
  {
    what: 'an older snapshot of its disk is put back',
    lose: async (address: string) => {
      const putBack = await cluster.snapshot()
      return async () => {
        await putBack()
        return address
      }
    },
  },
])(
  'when $what, the later loans are entered again, and nothing is overspent',
  async ({ lose }) => {
    const fleet = await openFleet(2)
    const { machines, truth, call, address } = fleet
    const [one, other] = machines as [Machine, Machine]
    expect(await call(one)).toBe('paid')
    await expect.poll(() => budgetOf(fleet.panel()).then(({ settled }) => settled)).toBe('0.05')
    const failOver = await lose(address)
    // From here on nothing that is committed stays.
    for (let calls = 0; calls < 12; calls++) expect(await call(one)).toBe('paid')
    expect(await call(other)).toBe('paid')
    await expect.poll(() => budgetOf(fleet.panel()).then(({ settled }) => settled)).toBe('0.7')
    await fleet.closePanel()
    await fleet.openPanel(await failOver())
    await spendAll(fleet)
    expect(truth.calls * 0.05).toBeCloseTo(2)
    for (const machine of machines) await machine.close()
    expect(await budgetOf(fleet.panel())).toEqual({ settled: '2', lent: '0' })
    expect(await fleet.panel().fleet.problems()).toEqual([])
  },
  60_000,
)

test('a restored panel lends no money until all machines have reported, and its log, audit and answers give the reason', async () => {
  const file = temporaryFile('panel.db')
  const fleet = await openFleet(2, file)
  const { machines, paths, call, notices } = fleet
  const [one, other] = machines as [Machine, Machine]
  expect(await call(one)).toBe('paid')
  expect(await call(other)).toBe('paid')
  await other.close()
  await fleet.closePanel()
  copyFileSync(file, `${file}.copy`)
  renameSync(`${file}.copy`, file)
  await fleet.openPanel(file)
  const { fleet: restored, organizationId } = fleet.panel()
  expect(notices).toEqual([expect.stringContaining('lost its last commits')])
  expect((await restored.audit(organizationId, 1))[0]).toMatchObject({ actor: 'the panel', action: 'books.reconciled' })
  // It may spend its lease, and no more.
  await expect.poll(() => call(one)).toBe('budget_held')
  expect(await restored.reconcilingUntil()).toBeGreaterThan(Date.now())
  const again = opened(paths[1]!)
  await expect.poll(() => restored.reconcilingUntil()).toBeNull()
  expect(await call(one)).toBe('paid')
  expect(await call(again)).toBe('paid')
  await fleet.closePanel()
  await fleet.openPanel(file)
  expect(notices).toHaveLength(1)
}, 60_000)

test('an older copy of the books is detected when a machine reports its leases', async () => {
  const file = temporaryFile('panel.db')
  const fleet = await openFleet(1, file)
  const [machine] = fleet.machines as [Machine]
  await fleet.closePanel()
  copyFileSync(file, `${file}.copy`)
  await fleet.openPanel(file)
  await expect.poll(() => fleet.call(machine)).toBe('paid')
  await fleet.closePanel()
  await machine.close()
  copyFileSync(`${file}.copy`, file)
  await fleet.openPanel(file)
  expect(fleet.notices).toEqual([])
  const again = opened(fleet.paths[0]!)
  await expect.poll(() => budgetOf(fleet.panel())).toEqual({ settled: '0.05', lent: '0' })
  expect(fleet.notices).toEqual([expect.stringContaining('lost its last commits')])
  await expect.poll(() => fleet.call(again)).toBe('paid')
}, 60_000)
