/** A person is erased from all that a panel stores, and the audit stays verifiable. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { RuntimeEvent } from '../../../src/core/events.ts'
import { eraseInJson, eraseWords } from '../../../src/panel/access/erase-words.ts'
import { Erasures } from '../../../src/panel/access/erasure.ts'
import { SpendingAlerts } from '../../../src/panel/alerts/spending-alerts.ts'
import { grantLease, openRuntime } from '../../../src/panel/bank/bank.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import { Orders } from '../../../src/panel/control/orders.ts'
import { Policies } from '../../../src/panel/control/policies.ts'
import { PanelSecrets } from '../../../src/panel/control/secrets.ts'
import type { PanelDatabase } from '../../../src/panel/db/database.ts'
import { insert } from '../../../src/panel/db/insert.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import { TEXT_TABLES } from '../../../src/panel/db/personal-columns.ts'
import { PanelTelemetry } from '../../../src/panel/telemetry/telemetry.ts'
import { dollars } from '../../support/money.ts'
import { temporaryFile } from '../../support/temporary-file.ts'
import { type Cluster, startCluster } from '../postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const NAME = 'Jane Canary'
const EMAIL = 'jane.canary@northwind.com'
const WORDS = [NAME, EMAIL]
/** Tables of no organization. */
const OF_THE_PANEL = ['panel_meta', 'ledger_meta', 'sign_in_flows', 'sign_in_attempts']

describe.each([
  ['an SQLite file', async () => temporaryFile('panel.db')],
  ['PostgreSQL', () => cluster.newDatabase()],
] as const)('a panel on %s', (_, addressOf) => {
  async function open() {
    const address = await addressOf()
    const database = await openPanelDatabase(address)
    onTestFinished(() => database.close())
    const parts = {
      ...{ fleet: new Fleet(database), orders: new Orders(database), policies: new Policies(database) },
      secrets: new PanelSecrets(database, () => new Uint8Array(32)),
      telemetry: new PanelTelemetry(database),
      spendingAlerts: new SpendingAlerts(database),
    }
    const erasures = new Erasures(database)
    const organizationId = await parts.fleet.openOrganization('acme')
    const erase = (isTrial = false, words = WORDS) => erasures.erase({ organizationId, name: 'ada' }, words, isTrial)
    return { address, database, ...parts, organizationId, erase }
  }

  type Opened = Awaited<ReturnType<typeof open>>

  /** A person in every text that an organization can get her into. Returns the id of her runtime. */
  async function fill(
    { database, fleet, orders, policies, secrets, spendingAlerts, telemetry }: Opened,
    organizationId: string,
  ): Promise<string> {
    const jane = { organizationId, role: 'admin', id: 'token-jane', name: NAME } as const
    const ada = { ...jane, id: 'token-ada', name: 'ada' }
    const limit = { limit: dollars('9') }
    await fleet.setLimit(organizationId, { scope: 'organization', name: null }, limit, NAME)
    await fleet.setLimit(organizationId, { scope: 'user', name: EMAIL }, limit, 'ada')
    const invitation = await fleet.credentials.invite(organizationId, { team: null, user: EMAIL }, NAME, NAME)
    const invited = (await fleet.credentials.identify(invitation))!
    const { runtimeId } = await fleet.credentials.join(invited, `${NAME}'s laptop`, '1')
    const agentId = `${NAME}-1`
    const event = (seq: number, type: string, data: object) => ({
      seq,
      at: `2026-01-02T03:04:0${seq}.000Z`,
      agent_id: agentId,
      level: 'INFO',
      type,
      message: `for ${EMAIL}`,
      data,
    })
    const events = [
      event(1, 'agent.started', { name: `${NAME}'s agent`, run_id: 'run-1', limit_usd: '5', detect: [] }),
      event(2, 'call.completed', { model: `ft:${EMAIL}`, cost_usd: '0.5' }),
      event(3, 'call.completed', { model: `ft:${EMAIL.toUpperCase()}`, cost_usd: '0.25' }),
      event(4, 'pii.found', {
        pii_type: 'email',
        action: 'redact',
        place: `tool of ${NAME}`,
        [EMAIL]: [{ to: EMAIL }],
      }),
    ] as unknown as RuntimeEvent[]
    const batch = { journal_id: 'one', after: 0, through: 4, lost: null, events }
    await telemetry.store.take(organizationId, runtimeId, batch)
    const { snapshot } = (await telemetry.states(organizationId)).get(runtimeId)!
    // As if her agent, and she, had spent as ever until now.
    const day = { organization_id: organizationId, runtime_id: runtimeId, cost_nanos: 1_000_000, calls: 1 }
    const history = Array.from({ length: 7 }, (_, n) => ({ ...day, day: `2025-12-2${n}` }))
    await database.within(organizationId, async (sql) => {
      await insert(
        sql,
        'agent_spending',
        history.map((row) => ({ ...row, agent: `${NAME}'s agent` })),
      )
      await insert(
        sql,
        'spending',
        history.map((row) => ({ ...row, model: 'gpt-4o' })),
      )
    })
    expect(await spendingAlerts.look(organizationId, Date.parse('2026-01-02T12:00:00Z'))).toHaveLength(2)
    const alert = { alert_id: `alert-${organizationId}`, channel: 'e-mail', kind: 'request.created', level: 'WARN' }
    const sent = { raised_at: 1, due_at: 1, state: 'delivered', attempts: 1, organization_id: organizationId }
    await insert(database.system, 'alert_deliveries', [
      {
        ...alert,
        ...sent,
        title: `Approval needed — user ${EMAIL}`,
        detail: `${NAME} asks for more`,
        error: `not to ${EMAIL}`,
      },
    ])
    const webhook = { id: `webhook-${organizationId}`, organization_id: organizationId, nonce: '', ciphertext: '' }
    await insert(database.system, 'alert_webhooks', [{ ...webhook, host: EMAIL, created_at: 1, created_by: NAME }])
    const cursors = await telemetry.store.cursors(organizationId)
    await telemetry.store.keep(organizationId, cursors[0]!, snapshot)
    for (const verdict of ['approved', 'rejected'] as const) {
      const [asking, deciding] = verdict === 'approved' ? [jane, ada] : [ada, jane]
      const asked = await fleet.requests.create(asking, { scope: 'user', name: EMAIL }, dollars('1'), `for ${NAME}`)
      await fleet.requests.decide(deciding, asked.id, verdict, `says ${EMAIL}`)
    }
    const order = await orders.create(jane, { runtimeId, agentId, action: 'stop' })
    await orders.answer({ ...jane, role: 'runtime', id: runtimeId }, order.id, { ok: false, message: `ask ${NAME}` })
    await secrets.set(jane, { name: 'KEY', environment: null, agent: null }, 'a value')
    await policies.set(jane, { safety: { mode: 'block' } })
    const openAs = (journalId: string) =>
      fleet.bank.run({ runtimeId, allLeases: true }, (books) =>
        openRuntime(books, runtimeId, { journalId, epoch: 0 }, 60_000),
      )
    const { epoch } = await openAs('one')
    const amounts = { least: dollars('1'), want: dollars('1') }
    const lease = await fleet.bank.run({ runtimeId }, (books) =>
      grantLease(books, runtimeId, { epoch, request: 0, ...amounts, agent: null, token: null }, 60_000),
    )
    if (lease.outcome !== 'granted') throw new Error(lease.outcome)
    await openAs('another')
    await fleet.resolve(organizationId, lease.id, dollars('0.5'), { by: NAME, reason: `mail to ${EMAIL}` })
    await fleet.setLimit(organizationId, { scope: 'team', name: EMAIL }, limit, 'ada')
    await fleet.people.add(ada, { username: 'grace', role: 'viewer', email: 'grace@example.com' })
    await fleet.teams.set(ada, EMAIL, 'grace', 'member')
    return runtimeId
  }

  const rowsOf = (database: PanelDatabase, table: string, id: string) => {
    const owner = 'organization_id' in TEXT_TABLES[table]!.columns ? 'organization_id' : 'id'
    return database.system.rows<Record<string, unknown>>(`SELECT * FROM ${table} WHERE ${owner} = $1 ORDER BY 1`, [id])
  }
  const everything = async (database: PanelDatabase, id: string): Promise<string> => {
    const tables = Object.keys(TEXT_TABLES).filter((table) => !OF_THE_PANEL.includes(table))
    return JSON.stringify(await Promise.all(tables.map((table) => rowsOf(database, table, id))))
  }

  test('an erasure knows the content of every text column', async () => {
    const { database } = await open()
    const isPostgres = database.dialect.kind === 'postgres'
    const columns = await database.system.rows<{ name: string }>(
      isPostgres
        ? `SELECT table_name || '.' || column_name AS name FROM information_schema.columns
           JOIN pg_class ON oid = format('%I', table_name)::regclass
           WHERE table_schema = 'public' AND data_type <> 'bigint' AND NOT relispartition`
        : `SELECT t.name || '.' || c.name AS name FROM sqlite_schema t, pragma_table_info(t.name) c
           WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND c.type NOT IN ('BIGINT', 'INTEGER')`,
    )
    const placed = Object.entries(TEXT_TABLES).flatMap(([table, { columns: texts }]) =>
      Object.keys(texts).map((column) => `${table}.${column}`),
    )
    expect(placed.sort()).toEqual(columns.map(({ name }) => name).sort())
  })

  test('a person is erased everywhere in one organization, and the audit and the books stay whole', async () => {
    const panel = await open()
    const { database, fleet, organizationId, telemetry, erase } = panel
    const theirs = await fleet.openOrganization('theirs')
    for (const id of [organizationId, theirs]) await fill(panel, id)
    const replica = new PanelTelemetry(database)
    const [state] = (await replica.states(organizationId)).values()
    expect(JSON.stringify(state)).toContain(NAME)
    for (const [table, { columns }] of Object.entries(TEXT_TABLES)) {
      const rows = await rowsOf(database, table, organizationId).catch(() => [])
      for (const [column, content] of Object.entries(columns)) {
        if (content !== 'text' && content !== 'json') continue
        expect(
          rows.some((row) => /jane.canary/i.test(String(row[column]))),
          `${table}.${column}`,
        ).toBe(true)
      }
    }
    const [before, foreign] = [await everything(database, organizationId), await everything(database, theirs)]
    const [cursor] = await telemetry.store.cursors(organizationId)

    const counted = await erase(true)
    expect(await everything(database, organizationId)).toBe(before)
    const erased = await erase()
    expect(erased.rows).toEqual(counted.rows)
    expect(erased.rows).toMatchObject({ telemetry: 1, events: 4, runtimes: 1, budgets: 2, requests: 2, orders: 1 })
    const after = await everything(database, organizationId)
    expect(after).not.toMatch(/jane.canary/i)
    expect(await everything(database, theirs)).toBe(foreign)
    expect(await fleet.problems()).toEqual([])
    // Her models were two names, which are one now.
    const spent = await telemetry.store.spending(organizationId, '2026-01-01', 'model')
    expect(spent).toEqual([{ day: '2026-01-02', name: `ft:${erased.pseudonym}`, calls: 2, cost: 750_000_000n }])

    // Another process of the panel has her in memory, and may be about to store that.
    const stale = { ...state!.snapshot, seq: state!.snapshot.seq + 1 }
    await replica.store.keep(organizationId, cursor!, stale)
    for (const each of [replica, telemetry]) {
      const [now] = (await each.states(organizationId)).values()
      expect(Object.values(now!.snapshot.agents)).toMatchObject([{ name: `${erased.pseudonym}'s agent` }])
      expect(JSON.stringify(now)).not.toMatch(/jane.canary/i)
    }
    expect(await everything(database, organizationId)).toBe(after)
  })

  test('the audit accepts erased rows, and no other change', async () => {
    const { database, fleet, organizationId, erase } = await open()
    const limit = { limit: dollars('9') }
    for (let n = 0; n < 120; n++) {
      await fleet.setLimit(organizationId, { scope: 'user', name: `${EMAIL}.${n}` }, limit, `${NAME} of Northwind`)
    }
    const before = await fleet.audit(organizationId, 200)
    await erase()
    const rows = await fleet.audit(organizationId, 200)
    expect(rows.slice(2).map(({ hash }) => hash)).toEqual(before.map(({ hash }) => hash))
    expect(rows.slice(0, 2).map(({ action }) => action)).toEqual(['audit.erased', 'audit.erased'])
    // The same rows once more, and a number that is also one of a row.
    await erase(false, ['Northwind'])
    await erase(false, ['25'])
    expect(await fleet.problems()).toEqual([])
    const change = async (statement: string, values: string[] = []) => {
      const found: string[][] = []
      await database
        .within(organizationId, async (sql) => {
          await sql.rows(statement, values)
          found.push([
            JSON.stringify(
              await new Fleet({ ...database, within: (_id, work) => work(sql) }).verifyAudit(organizationId),
            ),
          ])
          throw new Error('undone')
        })
        .catch(() => undefined)
      return JSON.parse(found[0]![0]!) as { ok: boolean; row?: number; problem?: string }
    }
    const original = before.find(({ seq }) => seq === 7)!
    expect(await change('UPDATE audit SET actor = actor WHERE seq = 7')).toMatchObject({ ok: true })
    const bad = { ok: false, row: 7, problem: 'was changed' }
    expect(await change("UPDATE audit SET actor = 'eve' WHERE seq = 7")).toMatchObject(bad)
    // Erased text that comes back is found, whole or in part.
    const { actor, target } = original
    expect(await change('UPDATE audit SET actor = $1, target = $2 WHERE seq = 7', [actor, target])).toMatchObject(bad)
    expect(
      await change("UPDATE audit SET actor = 'eve', details = replace(details, '7:', '8:') WHERE seq = 7"),
    ).toMatchObject(bad)
    const voucher = (await fleet.audit(organizationId, 200)).find(({ details }) => / 7:|"7:/.test(details))!
    const forged = await change("UPDATE audit SET details = replace(details, '7:', '9999:') WHERE seq = $1", [
      String(voucher.seq),
    ])
    expect(forged).toMatchObject({ ok: false })
    expect(await change('DELETE FROM audit WHERE seq = $1', [String(voucher.seq)])).toMatchObject({ ok: false })
  })

  test("an erasure is refused for the admin's own name, for names still in use, and after a changed audit row", async () => {
    const panel = await open()
    const { database, fleet, organizationId, secrets, policies, erase } = panel
    const ada = { organizationId, name: 'ada' }
    await expect(erase(false, ['Ada'])).rejects.toMatchObject({ code: 'forbidden' })
    await fleet.people.add(ada, { username: 'jane', role: 'viewer', password: 'a long password' })
    await policies.set(ada, { safety: { allow_values: [EMAIL] } })
    const secret = await secrets.set(ada, { name: 'KEY', environment: null, agent: 'jane' }, 'a value')
    const before = await everything(database, organizationId)
    const refused = () => erase(false, ['jane', EMAIL]).catch(({ message }: Error) => message)
    expect(await refused()).toMatch(
      /^other things depend on these names: jane \(users\), jane \(secrets\), .*\(policies\)$/,
    )
    expect(await everything(database, organizationId)).toBe(before)
    await fleet.people.remove(ada, 'jane')
    await secrets.remove(ada, secret.id)
    await policies.set(ada, null)
    for (const name of ['jane', 'JANE']) {
      await fleet.setLimit(organizationId, { scope: 'agent', name }, { limit: dollars('1') }, 'ada')
    }
    expect(await refused()).toContain('two budgets')
    await database.system.rows("UPDATE budgets SET name = 'scout' WHERE name = 'JANE'")
    await database.system.rows("UPDATE audit SET actor = 'jane' WHERE seq = 2")
    expect(await refused()).toBe('the audit was changed before, nothing is erased: row 2 was changed')
    await database.system.rows("UPDATE audit SET actor = 'ada' WHERE seq = 2")
    expect(await refused()).toMatchObject({ rows: { budgets: 1, audit: 7 } })
    expect(await everything(database, organizationId)).not.toMatch(/jane/i)
    expect(await fleet.problems()).toEqual([])
  })
})

test.each([
  ['Ann and ANN, but not Anna or Joann', ['Ann'], 'X and X, but not Anna or Joann'],
  ['ann_bot, ann-laptop and 7ann7', ['Ann'], 'X_bot, X-laptop and 7ann7'],
  ['Jane\n  Doe <jane@doe.com>, jane@doe.com.au', ['Jane Doe', 'jane@doe.com'], 'X <X>, X.au'],
  ["call +49 170 1234 or O'Neil (jr.)", ['+49 170 1234', "O'Neil (jr.)"], 'call X or X'],
  ['Jose\u0301 and Jos\u00e9, not Jose', ['Jos\u00e9'], 'X and X, not Jose'],
  ['\u674e\u660e\u8bf4', ['\u674e\u660e'], 'X\u8bf4'],
  ['a.b is not axb', ['a.b'], 'X is not axb'],
])('%j without %j is %j', (text, words, expected) => {
  const erase = eraseWords(words, 'X')
  expect(erase(text)).toBe(expected)
  const json = JSON.stringify({ [text]: [text, 7, null, { text: JSON.stringify(`\n${text}`) }] })
  const left = JSON.stringify({ [expected]: [expected, 7, null, { text: expect.anything() }] })
  const erased = JSON.parse(eraseInJson(json, erase)) as Record<string, [string, number, null, { text: string }]>
  expect(JSON.stringify(erased).slice(0, 10)).toBe(left.slice(0, 10))
  expect(JSON.parse(erased[expected]![3].text)).toBe(`\n${expected}`)
})
