import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { fromUsd, type Nanodollars, nanodollars, toUsd, usd, ZERO_NANOS } from '../../src/core/money.ts'
import { grantLease, openRuntime, recordStatements } from '../../src/panel/bank/bank.ts'
import { Fleet } from '../../src/panel/bank/budgets.ts'
import type { PanelDatabase } from '../../src/panel/db/database.ts'
import { migrate } from '../../src/panel/db/migrations.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import type { CallerNames, Statement } from '../../src/protocol/lease-messages.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { type Cluster, startCluster } from './postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const TTL_MS = 60_000
const dollars = (amount: string): Nanodollars => fromUsd(usd(amount))

const ADDRESSES = {
  'an SQLite file': async () => temporaryFile('panel.db'),
  PostgreSQL: () => cluster.newDatabase(),
}

describe.each(Object.entries(ADDRESSES))('a panel on %s', (_, addressOf) => {
  async function open(
    limit = '10',
  ): Promise<{ database: PanelDatabase; fleet: Fleet; organizationId: string; address: string }> {
    const address = await addressOf()
    const database = await openPanelDatabase(address)
    onTestFinished(() => database.close())
    const fleet = new Fleet(database)
    const organizationId = await fleet.openOrganization('acme')
    await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars(limit) }, 'ada')
    return { database, fleet, organizationId, address }
  }

  /** A panel whose database has the time that is set, with an organization that has $10. */
  async function openWithClock(start: string) {
    const real = await openPanelDatabase(await addressOf())
    onTestFinished(() => real.close())
    const setTime = (iso: string) => real.system.rows('UPDATE test_clock SET ms = $1', [Date.parse(iso)])
    await real.system.rows('CREATE TABLE test_clock (ms BIGINT NOT NULL)')
    await real.system.rows('INSERT INTO test_clock VALUES (0)')
    await setTime(start)
    const fleet = new Fleet({ ...real, dialect: { ...real.dialect, now: '(SELECT ms FROM test_clock)' } })
    const organizationId = await fleet.openOrganization('acme')
    await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('10') }, 'ada')
    return { fleet, organizationId, setTime }
  }

  /** A runtime as the panel knows it, with short names for its messages. */
  async function join(fleet: Fleet, organizationId: string, team: string | null = null) {
    const invitation = await fleet.credentials.invite(organizationId, { team, user: null }, 'laptop', 'ada')
    const { runtimeId } = await fleet.credentials.join(
      (await fleet.credentials.identify(invitation))!,
      'laptop',
      '1.0.0',
    )
    return {
      runtimeId,
      open: (journalId = 'journal') =>
        fleet.bank.run({ runtimeId, allLeases: true }, (books) =>
          openRuntime(books, runtimeId, { journalId, epoch: 0 }, TTL_MS),
        ),
      request: (epoch: number, request: number, least: string, want = least, names: Partial<CallerNames> = {}) => {
        const { agent = null, token = null } = names
        const leaseIds = [`lease-${runtimeId.slice(8)}-${epoch}-${request}`]
        const amounts = { least: dollars(least), want: dollars(want) }
        return fleet.bank.run({ runtimeId, leaseIds, names: { agent, token } }, (books) =>
          grantLease(books, runtimeId, { epoch, request, ...amounts, agent, token }, TTL_MS),
        )
      },
      report: (epoch: number, statements: Statement[]) =>
        fleet.bank.run({ runtimeId, leaseIds: statements.map(({ id }) => id) }, (books) =>
          recordStatements(books, runtimeId, { epoch, statements }, TTL_MS),
        ),
    }
  }

  const statement = (id: string, used: string, returned = '0', isFinal = false): Statement => ({
    id,
    used: dollars(used),
    returned: dollars(returned),
    held: ZERO_NANOS,
    isFinal,
  })

  const budgets = async (fleet: Fleet, organizationId: string) =>
    (await fleet.read(organizationId)).budgets.map(({ name, settled_nanos, escrow_nanos }) => {
      return { name, settled: toUsd(settled_nanos), lent: toUsd(escrow_nanos) }
    })

  test('a lease is lent, spent, returned and closed, and the books agree at each step', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    const granted = await runtime.request(epoch, 0, '0.5', '2')
    if (granted.outcome !== 'granted') throw new Error(granted.outcome)
    expect(toUsd(granted.granted)).toBe('2')
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '0', lent: '2' }])
    await runtime.report(epoch, [statement(granted.id, '0.75')])
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '0.75', lent: '1.25' }])
    await runtime.report(epoch, [statement(granted.id, '0.75', '1.25', true)])
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '0.75', lent: '0' }])
    expect(await fleet.problems()).toEqual([])
  })

  test('a repeated request gets the same lease, and a repeated or late statement changes nothing', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    const [one, again] = [await runtime.request(epoch, 0, '1'), await runtime.request(epoch, 0, '1')]
    if (one.outcome !== 'granted' || again.outcome !== 'granted') throw new Error('not granted')
    expect(again.id).toBe(one.id)
    await runtime.report(epoch, [statement(one.id, '0.4', '0.2')])
    await runtime.report(epoch, [statement(one.id, '0.4', '0.2')])
    await runtime.report(epoch, [statement(one.id, '0.1', '0.1')])
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '0.4', lent: '0.4' }])
  })

  test('two hundred requests at once from ten runtimes never lend more than there is', async () => {
    const { fleet, organizationId } = await open('5')
    const runtimes = await Promise.all(Array.from({ length: 10 }, () => join(fleet, organizationId)))
    const opened = await Promise.all(runtimes.map(async (runtime) => ({ runtime, ...(await runtime.open()) })))
    const answers = await Promise.all(
      opened.flatMap(({ runtime, epoch }) => Array.from({ length: 20 }, (_, n) => runtime.request(epoch, n, '0.3'))),
    )
    const lent = answers.reduce((sum, answer) => sum + (answer.outcome === 'granted' ? answer.granted : 0), 0)
    expect(lent).toBeLessThanOrEqual(dollars('5'))
    expect(lent).toBeGreaterThan(dollars('4.6'))
    expect(await budgets(fleet, organizationId)).toEqual([
      { name: 'acme', settled: '0', lent: toUsd(nanodollars(lent)) },
    ])
    expect(await fleet.problems()).toEqual([])
  })

  test('a limit lowered below the settled and lent money lends no more, and recalls the leases', async () => {
    const { fleet, organizationId } = await open('10')
    const [runtime, other] = [await join(fleet, organizationId), await join(fleet, organizationId)]
    const [{ epoch }, { epoch: ofOther }] = [await runtime.open(), await other.open()]
    const granted = await runtime.request(epoch, 0, '4', '5')
    if (granted.outcome !== 'granted') throw new Error(granted.outcome)
    await runtime.report(epoch, [statement(granted.id, '1')])
    await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('2') }, 'ada')
    const told = await runtime.report(epoch, [statement(granted.id, '1.2')])
    expect(told.pools).toMatchObject([{ isScarce: true, balance: { limit: dollars('2'), free: ZERO_NANOS } }])
    expect(await other.request(ofOther, 0, '0.5')).toMatchObject({ outcome: 'lent', isScarce: true })
    expect(await other.request(ofOther, 1, '1.5')).toMatchObject({ outcome: 'exhausted' })
    expect(await fleet.problems()).toEqual([])
    await runtime.report(epoch, [statement(granted.id, '1.2', '3.8', true)])
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '1.2', lent: '0' }])
    expect((await other.request(ofOther, 2, '0.9')).outcome).toBe('exhausted')
    expect(await other.request(ofOther, 3, '0.5')).toMatchObject({ outcome: 'granted', granted: dollars('0.5') })
    expect(await fleet.problems()).toEqual([])
  })

  test('every budget of the path must have the money', async () => {
    const { fleet, organizationId } = await open('10')
    await fleet.setLimit(organizationId, { scope: 'team', name: 'research' }, { limit: dollars('1') }, 'ada')
    const runtime = await join(fleet, organizationId, 'research')
    const { epoch } = await runtime.open()
    expect((await runtime.request(epoch, 0, '1.5')).outcome).toBe('exhausted')
    expect((await runtime.request(epoch, 1, '0.8')).outcome).toBe('granted')
    expect((await runtime.request(epoch, 2, '0.8')).outcome).toBe('lent')
    expect(await budgets(fleet, organizationId)).toEqual([
      { name: 'acme', settled: '0', lent: '0.8' },
      { name: 'research', settled: '0', lent: '0.8' },
    ])
  })

  test('the budgets of an agent and of a token pay for their own calls as well, all or none of them', async () => {
    const { fleet, organizationId } = await open('10')
    const whose = { research: 'team', scout: 'agent', notebook: 'token' } as const
    for (const [name, limit] of [
      ['research', '4'],
      ['scout', '1'],
      ['notebook', '0.5'],
    ] as const) {
      await fleet.setLimit(organizationId, { scope: whose[name], name }, { limit: dollars(limit) }, 'ada')
    }
    const runtime = await join(fleet, organizationId, 'research')
    const { epoch } = await runtime.open()
    const both = { agent: 'scout', token: 'notebook' }
    const lent = async () => (await budgets(fleet, organizationId)).map(({ name, lent }) => `${name} ${lent}`).sort()
    expect((await runtime.request(epoch, 0, '0.6', '0.6', both)).outcome).toBe('exhausted')
    expect(await lent()).toEqual(['acme 0', 'notebook 0', 'research 0', 'scout 0'])
    const granted = await runtime.request(epoch, 0, '0.4', '0.4', both)
    if (granted.outcome !== 'granted') throw new Error(granted.outcome)
    expect(granted.names).toEqual(both)
    expect(await lent()).toEqual(['acme 0.4', 'notebook 0.4', 'research 0.4', 'scout 0.4'])
    // The spending of one token refuses neither its agent nor any other token.
    expect((await runtime.request(epoch, 1, '0.5', '0.5', both)).outcome).toBe('lent')
    expect((await runtime.request(epoch, 1, '0.5', '0.5', { agent: 'scout' })).outcome).toBe('granted')
    expect((await runtime.request(epoch, 2, '2')).outcome).toBe('granted')
    await runtime.report(epoch, [statement(granted.id, '0.3', '0.1', true)])
    expect(await lent()).toEqual(['acme 2.5', 'notebook 0', 'research 2.5', 'scout 0.5'])
    // An unknown one pays for no call.
    await expect(runtime.request(epoch, 3, '0.1', '0.1', { agent: 'nobody' })).rejects.toMatchObject({
      code: 'not_found',
    })
    expect(await fleet.problems()).toEqual([])
  })

  test('a repeated request for another caller gets the first lease, with the names it was granted for', async () => {
    const { fleet, organizationId } = await open('10')
    await fleet.setLimit(organizationId, { scope: 'agent', name: 'scout' }, { limit: dollars('1') }, 'ada')
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    const first = await runtime.request(epoch, 0, '0.5', '0.5', { agent: 'scout' })
    expect(await runtime.request(epoch, 0, '2')).toEqual(first)
    expect((await runtime.open()).leases).toEqual([
      { id: expect.anything(), granted: dollars('0.5'), names: { agent: 'scout', token: null }, endsInMs: null },
    ])
  })

  test('a daily limit renews at midnight in UTC, and earlier leases are settled in their own day', async () => {
    const { fleet, organizationId, setTime } = await openWithClock('2026-11-30T23:59:00Z')
    await fleet.setLimit(
      organizationId,
      { scope: 'organization', name: null },
      { limit: dollars('100'), period: 'month' },
      'ada',
    )
    await fleet.setLimit(
      organizationId,
      { scope: 'team', name: 'research' },
      { limit: dollars('2'), period: 'day' },
      'ada',
    )
    const runtime = await join(fleet, organizationId, 'research')
    const { epoch } = await runtime.open()
    const evening = await runtime.request(epoch, 0, '1.5')
    if (evening.outcome !== 'granted') throw new Error(evening.outcome)
    expect(evening).toMatchObject({ endsInMs: 60_000, balance: { endsAt: Date.parse('2026-12-01T00:00:00Z') } })
    expect((await runtime.request(epoch, 1, '1')).outcome).toBe('lent')
    await runtime.report(epoch, [statement(evening.id, '0.5')])
    const team = async () => (await budgets(fleet, organizationId)).find(({ name }) => name === 'research')
    expect(await team()).toEqual({ name: 'research', settled: '0.5', lent: '1' })

    await setTime('2026-12-01T00:00:00Z')
    expect(await team()).toEqual({ name: 'research', settled: '0', lent: '0' })
    expect((await runtime.open()).leases).toMatchObject([{ id: evening.id, endsInMs: 0 }])
    const morning = await runtime.request(epoch + 1, 0, '1.9')
    if (morning.outcome !== 'granted') throw new Error(morning.outcome)
    // A call that ran across the border is charged in the day of its hold, and so is the rest.
    await runtime.report(epoch + 1, [statement(evening.id, '1.4', '0.1', true), statement(morning.id, '0.2')])
    expect(await budgets(fleet, organizationId)).toEqual([
      { name: 'acme', settled: '0.2', lent: '1.7' },
      { name: 'research', settled: '0.2', lent: '1.7' },
    ])
    expect(await fleet.problems()).toEqual([])

    await setTime('2026-12-02T00:00:00Z')
    expect(await budgets(fleet, organizationId)).toEqual([
      { name: 'acme', settled: '0.2', lent: '1.7' },
      { name: 'research', settled: '0', lent: '0' },
    ])
    await setTime('2026-11-30T23:59:30Z')
    expect(await team()).toEqual({ name: 'research', settled: '1.4', lent: '0' })
  })

  test('a limit without a period counts only the spending outside any period', async () => {
    const { fleet, organizationId } = await openWithClock('2026-05-12T12:00:00Z')
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    const set = (period: 'day' | null) =>
      fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('10'), period }, 'ada')
    const spend = async (request: number, cost: string) => {
      const granted = await runtime.request(epoch, request, cost)
      if (granted.outcome !== 'granted') throw new Error(granted.outcome)
      await runtime.report(epoch, [statement(granted.id, cost, '0', true)])
    }
    await spend(0, '1')
    await set('day')
    await spend(1, '2')
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '2', lent: '0' }])
    await set(null)
    await spend(2, '3')
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '4', lent: '0' }])
    expect((await fleet.audit(organizationId, 1))[0]).toMatchObject({ action: 'budget.changed' })
    expect(await fleet.problems()).toEqual([])
  })

  test('an organization sets how long its runtimes may spend their leases, and the audit names the author', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const { epoch, coverS } = await runtime.open()
    expect(coverS).toBe(10)
    await fleet.setCover(organizationId, 900, 'ada')
    expect((await runtime.report(epoch, [])).coverS).toBe(900)
    expect((await fleet.audit(organizationId, 1))[0]).toMatchObject({
      action: 'cover.changed',
      actor: 'ada',
      details: JSON.stringify({ from_s: 10, cover_s: 900 }),
    })
    expect(await fleet.problems()).toEqual([])
  })

  test('a panel of the previous version works on a newer database that permits it, and does not change its schema', async () => {
    const { database, address } = await open()
    const set = (key: string, value: number) =>
      database.system.rows('UPDATE panel_meta SET value = $2 WHERE key = $1', [key, String(value)])
    const meta = () => database.system.rows<{ value: string }>('SELECT key, value FROM panel_meta ORDER BY key')
    const [row] = await database.system.rows<{ value: string }>("SELECT value FROM panel_meta WHERE key = 'version'")
    const version = Number(row!.value)
    await set('version', version + 1)
    const before = await meta()
    const again = async () => {
      if (database.dialect.kind === 'sqlite') return migrate(database.system, database.dialect)
      const older = await openPanelDatabase(address)
      await older.close()
    }
    await again()
    expect(await meta()).toEqual(before)
    await set('oldest', version + 1)
    await expect(again()).rejects.toMatchObject({ code: 'database_unusable', hint: 'update Iron Cage' })
  })

  test('a database of tables that were never released is refused with what to do, and stays as it is', async () => {
    const { database, address, fleet } = await open()
    const tables = () => database.system.rows('SELECT * FROM panel_meta ORDER BY key')
    await database.system.rows("UPDATE panel_meta SET value = '22' WHERE key = 'version'")
    const before = await tables()
    const again = async () => {
      if (database.dialect.kind === 'sqlite') return migrate(database.system, database.dialect)
      const opened = await openPanelDatabase(address)
      await opened.close()
    }
    const refused = { code: 'database_unusable', hint: expect.stringContaining('a new database') }
    await expect(again()).rejects.toMatchObject(refused)
    await expect(fleet.ping()).rejects.toMatchObject(refused)
    expect(await tables()).toEqual(before)
  })

  test('a runtime that comes back without its ledger is quarantined until a person enters its spending', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const first = await runtime.open('journal-1')
    const granted = await runtime.request(first.epoch, 0, '2')
    if (granted.outcome !== 'granted') throw new Error(granted.outcome)
    const second = await runtime.open('journal-2')
    expect(second.leases).toEqual([])
    await expect(runtime.report(first.epoch, [])).rejects.toMatchObject({ code: 'runtime_fenced' })
    await runtime.report(second.epoch, [statement(granted.id, '0', '2', true)])
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '0', lent: '2' }])
    const decision = { by: 'ada', reason: 'the bill' }
    await expect(fleet.resolve(organizationId, granted.id, dollars('2.01'), decision)).rejects.toMatchObject({
      code: 'conflict',
      message: `lease ${granted.id} was lent $2.00, which is less than $2.01`,
      facts: { lease_id: granted.id, lent_usd: '2', spent_usd: '2.01' },
    })
    await fleet.resolve(organizationId, granted.id, dollars('1.25'), decision)
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '1.25', lent: '0' }])
    expect((await fleet.audit(organizationId, 1))[0]).toMatchObject({ action: 'lease.resolved', actor: 'ada' })
    await expect(runtime.report(second.epoch, [])).rejects.toMatchObject({ code: 'runtime_fenced' })
    expect(await fleet.problems()).toEqual([])
  })

  test('spending above a lease counts in full once a person confirms it', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const granted = await runtime.request((await runtime.open('journal-1')).epoch, 0, '2')
    if (granted.outcome !== 'granted') throw new Error(granted.outcome)
    await runtime.open('journal-2')
    const decision = { by: 'ada', reason: 'the bill', isAboveLent: true }
    await fleet.resolve(organizationId, granted.id, dollars('2.5'), decision)
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '2.5', lent: '0' }])
    expect(await fleet.problems()).toEqual([])
  })

  test('a lease of a runtime that reports cannot be resolved, nor one of another organization', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    const granted = await runtime.request(epoch, 0, '2')
    if (granted.outcome !== 'granted') throw new Error(granted.outcome)
    const decision = { by: 'eve', reason: 'mine' }
    await expect(fleet.resolve(organizationId, granted.id, ZERO_NANOS, decision)).rejects.toMatchObject({
      code: 'conflict',
    })
    const other = await fleet.openOrganization('other')
    await expect(fleet.resolve(other, granted.id, ZERO_NANOS, decision)).rejects.toMatchObject({ code: 'not_found' })
    await expect(fleet.revoke(other, runtime.runtimeId, 'eve')).rejects.toMatchObject({ code: 'not_found' })
    const second = await join(fleet, organizationId)
    const { epoch: theirs } = await second.open()
    await second.report(theirs, [statement(granted.id, '0', '2', true)])
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '0', lent: '2' }])
  })

  test('a charge above the lease is posted in full', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    const granted = await runtime.request(epoch, 0, '1')
    if (granted.outcome !== 'granted') throw new Error(granted.outcome)
    await runtime.report(epoch, [statement(granted.id, '1.5', '0', true)])
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '1.5', lent: '0' }])
    expect(await fleet.problems()).toEqual([])
  })

  test('the spending of one organization does not refuse the reports of another in the same transaction', async () => {
    const { fleet, organizationId } = await open('9000000')
    const theirs = await fleet.openOrganization('theirs')
    await fleet.setLimit(theirs, { scope: 'organization', name: null }, { limit: dollars('9') }, 'eve')
    const [one, other] = [await join(fleet, organizationId), await join(fleet, theirs)]
    const [ours, their] = [await one.open(), await other.open()]
    const large = await one.request(ours.epoch, 0, '8999999')
    const small = await other.request(their.epoch, 0, '9')
    if (large.outcome !== 'granted' || small.outcome !== 'granted') throw new Error('not granted')
    await one.report(ours.epoch, [statement(large.id, '8999999')])
    await Promise.all([one.report(ours.epoch, []), other.report(their.epoch, [statement(small.id, '9', '0', true)])])
    expect(await budgets(fleet, theirs)).toEqual([{ name: 'theirs', settled: '9', lent: '0' }])
  })

  test('a revoked runtime is refused at once, and its leases stay lent', async () => {
    const { fleet, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    await runtime.request(epoch, 0, '2')
    await fleet.revoke(organizationId, runtime.runtimeId, 'ada')
    await expect(runtime.request(epoch, 1, '1')).rejects.toMatchObject({ code: 'runtime_revoked' })
    await expect(runtime.open()).rejects.toMatchObject({ code: 'runtime_revoked' })
    expect(await budgets(fleet, organizationId)).toEqual([{ name: 'acme', settled: '0', lent: '2' }])
  })

  test('a manual change of a budget row is found', async () => {
    const { fleet, database, organizationId } = await open()
    const runtime = await join(fleet, organizationId)
    const { epoch } = await runtime.open()
    await runtime.request(epoch, 0, '2')
    await database.system.rows('UPDATE budgets SET escrow_nanos = escrow_nanos - 1')
    expect(await fleet.problems()).toEqual(['organization acme has 1999999999 in escrow, its leases 2000000000'])
  })

  test.each([
    ["UPDATE audit SET actor = 'eve' WHERE seq = 2", 'row 2 was changed'],
    ['DELETE FROM audit WHERE seq = 1', 'row 1 is missing'],
    ['DELETE FROM audit WHERE seq = 3', 'it ends with row 2, not 3'],
  ])('tampering with the audit is found: %s', async (statement, problem) => {
    const { fleet, database, organizationId } = await open()
    await fleet.openOrganization('other')
    await join(fleet, organizationId)
    expect(await fleet.problems()).toEqual([])
    await database.system.rows(statement)
    expect(await fleet.problems()).toEqual([`the audit of acme: ${problem}`])
  })

  test('entries that are written at once are one chain', async () => {
    const { fleet, organizationId } = await open()
    const limits = Array.from({ length: 20 }, (_, n) => dollars(String(n)))
    await Promise.all(
      limits.map((limit) => fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit }, 'ada')),
    )
    expect((await fleet.audit(organizationId, 1))[0]).toMatchObject({ seq: 21 })
    expect(await fleet.problems()).toEqual([])
  })

  test('a request is decided once, by another person, and an approval raises the limit', async () => {
    const { fleet, organizationId } = await open('5')
    const other = await fleet.openOrganization('other')
    const member = (name: string) => ({ organizationId, role: 'admin', id: `token-${name}`, name }) as const
    const ask = (amount: string) =>
      fleet.requests.create(member('bob'), { scope: 'organization', name: null }, dollars(amount), 'a large import')
    const [first, second] = [await ask('3'), await ask('20')]
    const refused = (who: Parameters<typeof fleet.requests.decide>[0]) =>
      fleet.requests.decide(who, first.id, 'approved', 'fine').catch(({ code }) => code as string)
    expect(await refused(member('bob'))).toBe('forbidden')
    expect(await refused({ ...member('bob'), id: 'another token of the same person' })).toBe('forbidden')
    expect(await refused({ ...member('eve'), organizationId: other })).toBe('not_found')
    const decisions = await Promise.all(Array.from({ length: 5 }, () => refused(member('ada'))))
    expect(decisions.filter((code) => code === 'conflict')).toHaveLength(4)
    await fleet.requests.decide(member('ada'), second.id, 'rejected', 'too much')
    expect((await fleet.read(organizationId)).budgets[0]!.limit_nanos).toBe(dollars('8'))
    const decided = new Map((await fleet.requests.list(organizationId)).map((request) => [request.id, request]))
    expect(decided.get(first.id)).toMatchObject({ state: 'approved', decided_by: 'ada', decision: 'fine' })
    expect(decided.get(second.id)).toMatchObject({ state: 'rejected', decided_by: 'ada', decision: 'too much' })
    const actions = (await fleet.audit(organizationId, 10)).map(({ action }) => action)
    expect(actions.slice(0, 2)).toEqual(['request.rejected', 'request.approved'])
    await expect(
      fleet.requests.create(member('bob'), { scope: 'team', name: 'none' }, dollars('1'), 'x'),
    ).rejects.toMatchObject({ code: 'not_found' })
    expect(await fleet.problems()).toEqual([])
  })

  test('a revoked token is refused, and a token of another organization cannot be revoked', async () => {
    const { fleet, organizationId } = await open()
    const other = await fleet.openOrganization('other')
    const token = await fleet.credentials.createToken(organizationId, 'viewer', 'bob', 'ada')
    const [listed] = await fleet.credentials.list(organizationId)
    expect(listed).toMatchObject({ kind: 'token', role: 'viewer', name: 'bob' })
    await expect(fleet.credentials.revoke(other, listed!.id, 'eve')).rejects.toMatchObject({ code: 'not_found' })
    expect(await fleet.credentials.identify(token)).toMatchObject({ name: 'bob' })
    await fleet.credentials.revoke(organizationId, listed!.id, 'ada')
    expect(await fleet.credentials.identify(token)).toBeUndefined()
    expect((await fleet.audit(organizationId, 1))[0]).toMatchObject({ action: 'token.revoked', actor: 'ada' })
  })

  test('machines that join at the same instant get names of their own', async () => {
    const { fleet, organizationId } = await open()
    const invited = async () =>
      (await fleet.credentials.identify(
        await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada'),
      ))!
    const invitations = await Promise.all(Array.from({ length: 5 }, invited))
    const joined = await Promise.all(invitations.map((one) => fleet.credentials.join(one, 'laptop', '1')))
    const names = ['laptop', 'laptop-2', 'laptop-3', 'laptop-4', 'laptop-5']
    expect(joined.map(({ name }) => name).sort()).toEqual(names)
  })

  test('an invitation and a code work once, however many use them at once', async () => {
    const { fleet, organizationId } = await open()
    const invitation = (await fleet.credentials.identify(
      await fleet.credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada'),
    ))!
    const joins = await Promise.allSettled(
      Array.from({ length: 10 }, () => fleet.credentials.join(invitation, 'laptop', '1')),
    )
    expect(joins.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    const code = await fleet.credentials.newCode(organizationId, 'ada')
    const exchanges = await Promise.allSettled(Array.from({ length: 10 }, () => fleet.credentials.exchange(code)))
    expect(exchanges.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    await expect(
      fleet.credentials.invite(organizationId, { team: 'none', user: null }, 'x', 'ada'),
    ).rejects.toMatchObject({
      code: 'not_found',
    })
  })
})

test('a thousand keys are looked up in PostgreSQL by their index, and the list of them is read once', async () => {
  const database = await openPanelDatabase(await cluster.newDatabase())
  onTestFinished(() => database.close())
  const keys = JSON.stringify(Array.from({ length: 1_000 }, (_, n) => `runtime-${n}`))
  for (const table of ['runtimes', 'leases', 'budgets']) {
    const plan = await database.system.rows<{ 'QUERY PLAN': string }>(
      `EXPLAIN SELECT * FROM ${table} WHERE organization_id = 'o' AND ${database.dialect.isIn('id', '$1')}`,
      [keys],
    )
    const text = plan.map((row) => row['QUERY PLAN']).join('\n')
    expect(text).toContain(`Index Scan`)
    expect(text).not.toContain('Join')
  }
})

test('only one process of a panel does what one does for all, and the next as soon as it has ended', async () => {
  const address = await cluster.newDatabase()
  const [one, other] = await Promise.all([openPanelDatabase(address), openPanelDatabase(address)])
  onTestFinished(async () => void (await Promise.all([one.close(), other.close()])))
  const tryOther = () => other.exclusively('alert', async () => 'mine')
  const first = await one.exclusively('alert', async (sql) => {
    await sql.rows('SELECT 1')
    return tryOther()
  })
  expect(first).toBeUndefined()
  expect(await tryOther()).toBe('mine')
  const failed = one.exclusively('alert', async () => {
    throw new Error('no')
  })
  await expect(failed).rejects.toThrow('no')
  await expect.poll(tryOther).toBe('mine')
})

test('panels that start at once on one PostgreSQL migrate it once, and lend the same money once', async () => {
  const address = await cluster.newDatabase()
  const databases = await Promise.all(Array.from({ length: 3 }, () => openPanelDatabase(address)))
  onTestFinished(async () => void (await Promise.all(databases.map((database) => database.close()))))
  const fleets = databases.map((database) => new Fleet(database))
  const [organizationId] = await Promise.all(fleets.map((fleet) => fleet.openOrganization('acme')))
  const [first] = fleets
  await first!.setLimit(organizationId!, { scope: 'organization', name: null }, { limit: dollars('3') }, 'ada')
  const ids = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const invitation = await first!.credentials.invite(organizationId!, { team: null, user: null }, 'x', 'ada')
      return (await first!.credentials.join((await first!.credentials.identify(invitation))!, 'x', '1')).runtimeId
    }),
  )
  const answers = await Promise.all(
    ids.map(async (runtimeId, index) => {
      const { bank } = fleets[index % 3]!
      const { epoch } = await bank.run({ runtimeId, allLeases: true }, (books) =>
        openRuntime(books, runtimeId, { journalId: 'j', epoch: 0 }, TTL_MS),
      )
      const requests = Array.from({ length: 20 }, (_, request) => {
        const amount = dollars('0.1')
        return bank.run({ runtimeId }, (books) =>
          grantLease(
            books,
            runtimeId,
            { epoch, request, least: amount, want: amount, agent: null, token: null },
            TTL_MS,
          ),
        )
      })
      return Promise.all(requests)
    }),
  )
  const granted = answers.flat().filter(({ outcome }) => outcome === 'granted')
  expect(granted).toHaveLength(30)
  expect(await first!.problems()).toEqual([])
})
