/**
 * Tampering with the books is found, by a person who asks and by a running panel, and legal changes are not reported.
 */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { grantLease, openRuntime, recordStatements } from '../../src/panel/bank/bank.ts'
import { BooksWatch, brokenBooks } from '../../src/panel/bank/books-watch.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import type { PanelDatabase } from '../../src/panel/db/database.ts'
import { OLDEST } from '../../src/panel/db/migrations.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { openPlace } from '../cli/support.ts'
import { TestClock } from '../support/clock.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const TTL_MS = 60_000
const WHOLE = { scope: 'organization', name: null } as const
const nothing = dollars('0')

/** Books with a closed lease, and one of which $1 of $2 is spent. */
async function openBooks(address: string) {
  const database = await openPanelDatabase(address)
  onTestFinished(() => database.close())
  const fleet = new Fleet(database)
  const { bank, credentials } = fleet
  const organizationId = await fleet.openOrganization('acme')
  await fleet.setLimit(organizationId, WHOLE, { limit: dollars('10') }, 'ada')
  const invitation = await credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId } = await credentials.join((await credentials.identify(invitation))!, 'laptop', '1')
  const { epoch } = await bank.run({ runtimeId, allLeases: true }, (books) =>
    openRuntime(books, runtimeId, { journalId: 'journal', epoch: 0 }, TTL_MS),
  )
  const lend = async (request: number, amount: string) => {
    const asked = { epoch, request, least: dollars(amount), want: dollars(amount), agent: null, token: null }
    const lent = await bank.run({ runtimeId }, (books) => grantLease(books, runtimeId, asked, TTL_MS))
    return lent.outcome === 'granted' ? lent.id : expect.fail(lent.outcome)
  }
  const spend = (id: string, used: string, isFinal: boolean) => {
    const statements = [{ id, used: dollars(used), returned: nothing, held: nothing, isFinal }]
    return bank.run({ runtimeId, leaseIds: [id] }, (books) =>
      recordStatements(books, runtimeId, { epoch, statements }, TTL_MS),
    )
  }
  const closed = await lend(0, '2')
  await spend(closed, '2', true)
  const open = await lend(1, '2')
  await spend(open, '1', false)
  return { database, fleet, organizationId, lend, spend, open, closed }
}

/** An hour has passed since the last check. */
const makeDue = ({ system }: PanelDatabase) =>
  system.rows(`UPDATE panel_meta SET value = replace(value, '"at":', '"at":1,"was":') WHERE key = 'books.check'`)

const ADDRESSES = {
  'an SQLite file': async () => temporaryFile('panel.db'),
  PostgreSQL: () => cluster.newDatabase(),
}

describe.each(Object.entries(ADDRESSES))('books on %s', (_, addressOf) => {
  test.each([
    [
      'UPDATE budgets SET limit_nanos = 1000000000',
      'organization acme has 3000000000 settled and 1000000000 in escrow of 1000000000',
    ],
    ['UPDATE budgets SET escrow_nanos = 0', 'organization acme has 0 in escrow, its leases 1000000000'],
    [
      "UPDATE transfers SET amount_nanos = 1 WHERE kind = 'granted' AND lease_id = $1",
      'lease <closed> was granted 2000000000, its transfers say 1',
    ],
    [
      "DELETE FROM transfers WHERE kind = 'charged' AND lease_id = $1",
      'lease <closed> used 2000000000, its transfers say 0',
    ],
    ['UPDATE leases SET returned_nanos = 1 WHERE id = $1', 'lease <closed> returned 1, its transfers say 0'],
    [
      "UPDATE leases SET state = 'closed' WHERE id = $2",
      'lease <open> is closed and accounts for 1000000000 of 2000000000',
    ],
  ])('tampering with the books is found by "panel doctor" and once an hour: %s', async (statement, problem) => {
    const { database, fleet, organizationId, open, closed } = await openBooks(await addressOf())
    const clock = new TestClock()
    const faults: string[] = []
    const watch = new BooksWatch(database, clock, (error, what) => faults.push(`${what}: ${(error as Error).message}`))
    onTestFinished(() => watch.close())
    const checkedAt = async () =>
      (await database.system.rows("SELECT value FROM panel_meta WHERE key = 'books.check'"))[0]
    await clock.advanceAsync(0)
    await expect.poll(checkedAt).toBeDefined()
    expect(await fleet.problems()).toEqual([])

    const values = [...statement.matchAll(/\$(\d)/g)].map(([, n]) => (n === '1' ? closed : open))
    await database.system.rows(statement.replace('$2', '$1'), values)
    const found = problem.replace('<closed>', closed).replace('<open>', open)
    expect(await fleet.problems()).toContain(found)
    // It was checked less than an hour ago.
    await clock.advanceAsync(60_000)
    expect(faults).toEqual([])
    await makeDue(database)
    // The check of the minute before may still run.
    const faultsLater = async () => {
      await clock.advanceAsync(60_000)
      return faults
    }
    await expect.poll(faultsLater).toContain(`the books do not agree: ${found}`)
    await expect
      .poll(() => brokenBooks(database.system))
      .toContainEqual(
        expect.objectContaining({
          organization_id: organizationId,
          text: found.replace(/^(lease|organization) \S+ /, ''),
        }),
      )
  })

  test('spending above a lowered limit, or by a call that cost more, is no fault of the books', async () => {
    const { fleet, organizationId, lend, spend, open } = await openBooks(await addressOf())
    await spend(await lend(2, '6'), '7', true)
    expect(await fleet.problems()).toEqual([])
    await fleet.setLimit(organizationId, WHOLE, { limit: dollars('1') }, 'ada')
    expect(await fleet.problems()).toEqual([])
    await spend(open, '4', false)
    expect(await fleet.problems()).toEqual([])
    await fleet.setLimit(organizationId, WHOLE, { add: dollars('0.5') }, 'ada')
    await fleet.setLimit(organizationId, WHOLE, { limit: dollars('1.2') }, 'ada')
    expect(await fleet.problems()).toEqual([])
  })

  test.each([
    ['more than it had then', ['1'], '4', 1],
    ['more than a limit that was raised again', ['1', '32'], '32', 35_000_000],
  ])('lowering a limit does not excuse a fault of the books: %s', async (_what, limits, has, more) => {
    const { database, fleet, organizationId } = await openBooks(await addressOf())
    for (const limit of limits) await fleet.setLimit(organizationId, WHOLE, { limit: dollars(limit) }, 'ada')
    const settled = dollars(has) - dollars('1')
    const exceeding = async () => (await fleet.problems()).filter((text) => text.includes(' in escrow of '))
    await database.system.rows('UPDATE budgets SET settled_nanos = $1', [settled])
    expect(await exceeding()).toEqual([])
    await database.system.rows('UPDATE budgets SET settled_nanos = $1', [settled + more])
    const found = `${settled + more} settled and 1000000000 in escrow of ${dollars(limits.at(-1)!)}`
    expect(await exceeding()).toEqual([`organization acme has ${found}`])
  })

  test('lowering a limit does not excuse an earlier excess over the limit', async () => {
    const { database, fleet, organizationId, open } = await openBooks(await addressOf())
    const lend = "UPDATE transfers SET amount_nanos = 10000000000 WHERE kind = 'granted' AND lease_id = $1"
    await database.system.rows(lend, [open])
    await database.system.rows('UPDATE budgets SET escrow_nanos = 9000000000')
    await fleet.setLimit(organizationId, WHOLE, { limit: dollars('5') }, 'ada')
    const found = 'organization acme has 3000000000 settled and 9000000000 in escrow of 5000000000'
    expect(await fleet.problems()).toContain(found)
  })

  test('the books are consistent under any sequence of leases, spending, overruns and new limits', async () => {
    const { fleet, organizationId, lend, spend } = await openBooks(await addressOf())
    const cents = (most: number) => (Math.floor(Math.random() * most) / 100).toFixed(2)
    const leases: { id: string; used: number; isFinal: boolean }[] = []
    for (let n = 0; n < 60; n++) {
      const lease = leases[Math.floor(Math.random() * leases.length)]
      const chance = Math.random()
      if (chance < 0.2) await fleet.setLimit(organizationId, WHOLE, { limit: dollars(cents(2_000)) }, 'ada')
      else if (chance < 0.6) {
        const id = await lend(n + 2, `0.0${1 + (n % 9)}`).catch(() => undefined)
        if (id !== undefined) leases.push({ id, used: 0, isFinal: false })
      } else if (lease) {
        lease.used += Number(cents(300))
        lease.isFinal ||= Math.random() < 0.5
        await spend(lease.id, lease.used.toFixed(2), lease.isFinal)
      }
      expect(await fleet.problems()).toEqual([])
    }
  })
})

test('one of several starting panels compares the books, and the others find its report too', async () => {
  const address = await cluster.newDatabase()
  const { database } = await openBooks(address)
  await database.system.rows('UPDATE budgets SET escrow_nanos = 0')
  const faults: string[] = []
  const onFault = (error: unknown, what: string) => faults.push(`${what}: ${(error as Error).message}`)
  await Promise.all(Array.from({ length: 3 }, () => openTestPanel({ database: address, onFault })))
  await expect.poll(() => faults.length).toBeGreaterThan(0)
  await expect.poll(() => brokenBooks(database.system)).toHaveLength(1)
  await openTestPanel({ database: address, onFault })
  expect(faults).toEqual(['the books do not agree: organization acme has 0 in escrow, its leases 1000000000'])
})

test('"panel doctor" names the version of the tables, a role that sees every organization, and books that await machines', async () => {
  const address = await cluster.newDatabase()
  const place = openPlace()
  const doctor = (database: string, ...flags: string[]) =>
    place.type(['panel', 'doctor', '--database', database, ...flags])
  expect(await doctor(address)).toMatchObject({ code: 8, err: expect.stringContaining('no tables of a panel') })
  const { database } = await openBooks(address)
  const [known] = await database.system.rows<{ value: string }>("SELECT value FROM panel_meta WHERE key = 'version'")
  const version = Number(known!.value)
  const fine = await doctor(address)
  expect(fine).toMatchObject({ code: 0, err: '' })
  expect(fine.out).toBe(
    `ok: budgets, leases and transfers agree\nok: schema version ${version}, usable by panels from schema version ${OLDEST} on\n`,
  )
  const superuser = address.replace('owner@', 'postgres@')
  expect((await doctor(superuser)).out).toContain('warning: the database role is a superuser or exempt')
  await database.system.rows(
    `UPDATE ledger_meta SET generation = generation + 1, reconciling_until = ${database.dialect.now} + 60000`,
  )
  expect((await doctor(address)).out).toMatch(/wait: nothing is lent until all machines .* or 20\d\d-/)
  expect(JSON.parse((await doctor(superuser, '--json')).out)).toEqual({
    ...{ ok: true, problems: [], schema: { version, oldest: OLDEST }, has_row_security: false },
    reconciling_until: expect.stringMatching(/^20\d\d-/),
  })
  await database.system.rows('UPDATE budgets SET escrow_nanos = 0')
  expect(await doctor(address)).toMatchObject({ code: 8, out: expect.stringContaining('broken: organization acme') })
  await database.system.rows("UPDATE panel_meta SET value = '6' WHERE key = 'version'")
  expect((await doctor(address)).err).toContain('this database has version 6, which cannot be migrated')
})
