/** The alerts for the admins of an organization, over a real SMTP server and a real HTTP receiver. */
import { createHmac } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { PANEL_ALERTS, panelFileSchema } from '../../../src/config/schema.ts'
import { findCauses, MANY_FAILURES } from '../../../src/panel/alerts/alert-causes.ts'
import { grantLease, openRuntime, recordStatements } from '../../../src/panel/bank/bank.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import type { AlertWebhookView, PanelAlertView } from '../../../src/panel/fleet-view.ts'
import type { RunningPanel } from '../../../src/panel/server.ts'
import { type Mailbox, openHanging, openMailbox, openReceiver, QUICK, type Receiver } from '../../alerts/support.ts'
import { dollars } from '../../support/money.ts'
import { temporaryFile } from '../../support/temporary-file.ts'
import { openTestPanel } from '../open-panel.ts'
import { type Cluster, startCluster } from '../postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const MEMBER = { role: 'viewer', id: 'token-1', name: 'grace' } as const

async function openPlaces(): Promise<{ mailbox: Mailbox; receiver: Receiver }> {
  const [mailbox, receiver] = [await openMailbox(), await openReceiver()]
  onTestFinished(async () => {
    await mailbox[Symbol.asyncDispose]()
    await receiver[Symbol.asyncDispose]()
  })
  return { mailbox, receiver }
}

const configOf = (mailbox: Mailbox | undefined, webhooks: readonly object[], networks: readonly string[] = []) => {
  const email = mailbox && { from: 'panel@example.com', smtp_url: mailbox.url }
  const { alerts: config } = panelFileSchema.parse({ alerts: { webhooks, networks, ...(email && { email }) } })
  return { config, retryPolicy: QUICK }
}

const nothing = dollars('0')

/** A runtime that borrows and spends. */
async function joinRuntime({ bank, credentials }: Fleet, organizationId: string) {
  const invitation = await credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId } = await credentials.join((await credentials.identify(invitation))!, 'laptop', '1')
  let [epoch, request] = [0, 0]
  const open = async (journalId: string) => {
    const said = { journalId, epoch: 0 }
    const opened = await bank.run({ runtimeId, allLeases: true }, (books) =>
      openRuntime(books, runtimeId, said, 60_000),
    )
    epoch = opened.epoch
  }
  const borrow = async (amount: string, agent: string | null = null): Promise<string> => {
    const asked = { epoch, request: request++, least: dollars(amount), want: dollars(amount), agent, token: null }
    const lent = await bank.run({ runtimeId, names: { agent, token: null } }, (books) =>
      grantLease(books, runtimeId, asked, 60_000),
    )
    return lent.outcome === 'granted' ? lent.id : expect.fail(lent.outcome)
  }
  const spend = async (amount: string, agent: string | null = null): Promise<void> => {
    const id = await borrow(amount, agent)
    const statements = [{ id, used: dollars(amount), returned: nothing, held: nothing, isFinal: true }]
    await bank.run({ runtimeId, leaseIds: [id] }, (books) =>
      recordStatements(books, runtimeId, { epoch, statements }, 60_000),
    )
  }
  await open('one')
  return { open, borrow, spend }
}

const masterKey = 'k7Qe2n0Z-VtYxW1rBs9uLcDpAa3fGh5JmX8iOo4q_Ew'
const HERE = ['127.0.0.0/8', '::1']

/** The requests of an organization's admin. Rejects with the code of an error. */
async function adminOf({ url, fleet }: RunningPanel, organizationId: string) {
  const token = await fleet.credentials.createToken(organizationId, 'admin', 'ada', 'ada')
  const send = async <Answer>(method: string, path: string, body?: object): Promise<Answer> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const answer = await fetch(url + path, { method, headers, body: body ? JSON.stringify(body) : null })
    const said = answer.status === 204 ? undefined : ((await answer.json()) as Answer & { error?: { code: string } })
    if (!answer.ok) throw new Error(said!.error!.code, { cause: said })
    return said as Answer
  }
  const listed = async () => (await send<{ alerts: PanelAlertView[] }>('GET', '/api/alerts')).alerts
  const test = () => send<{ alert_id: string; channels: string[] }>('POST', '/api/alerts/test')
  const add = (body: object) => send<AlertWebhookView>('POST', '/api/fleet/webhooks', body)
  const ask = (reason: string) =>
    fleet.requests.create({ ...MEMBER, organizationId }, { scope: 'organization', name: null }, dollars('1'), reason)
  return { send, listed, test, add, ask }
}

/** Causes every alert in an organization with two admins and a viewer. Returns a function that causes them again. */
async function trouble(fleet: Fleet, organizationId: string, database: string) {
  const { people, requests } = fleet
  const ada = { organizationId, name: 'ada' }
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('20') }, 'ada')
  const password = 'a long password'
  for (const [username, role] of [
    ['heidi', 'admin'],
    ['ivan', 'admin'],
    ['judy', 'viewer'],
  ] as const) {
    await people.add(ada, { username, role, password, email: `${username}@example.com` })
  }
  await people.add(ada, { username: 'mallory', role: 'admin', password })
  const { open, borrow, spend } = await joinRuntime(fleet, organizationId)
  await borrow('1')
  await spend('18.5')
  await open('another')
  const ask = (reason: string) =>
    requests.create({ ...MEMBER, organizationId }, { scope: 'organization', name: null }, dollars('1'), reason)
  await ask('a larger import')
  const { system, close } = await openPanelDatabase(database).catch(() => ({ system: undefined, close: undefined }))
  // As if a machine had been silent for a day.
  const silent = await joinRuntime(fleet, organizationId)
  const lost = await silent.borrow('0.1')
  await system?.rows("UPDATE leases SET state = 'expired', expires_at = expires_at - 86400000 WHERE id = $1", [lost])
  await system?.rows(
    `INSERT INTO spending_alerts (organization_id, scope, name, day, raised_at, cost_nanos, usual_nanos)
     VALUES ($1, 'agent', 'lead_gen', '2026-01-02', $2, 9000000000, 1000000000)`,
    [organizationId, Date.now()],
  )
  await system?.rows("UPDATE transfers SET amount_nanos = 1 WHERE lease_id = $1 AND kind = 'granted'", [lost])
  await system?.rows("DELETE FROM panel_meta WHERE key = 'books.check'")
  await close?.()
  return ask
}

describe('on PostgreSQL', () => {
  test('a budget that is nearly spent, unusual spending, a quarantined lease, a silent machine, a request, many failed sign-ins and books that do not agree reach the admins and the webhook once, whichever processes look', async () => {
    const address = await cluster.newDatabase()
    const { mailbox, receiver } = await openPlaces()
    const options = { database: address, alerts: configOf(mailbox, [{ url: receiver.url, secret: 'key' }]) }
    const { fleet, organizationId } = await openTestPanel({ database: address })
    const ask = await trouble(fleet, organizationId, address)
    const other = await fleet.openOrganization('other')
    for (let n = 0; n < MANY_FAILURES - 1; n++) await fleet.people.failures.count('other')
    for (let n = 0; n < MANY_FAILURES; n++) await fleet.people.failures.count('default')
    await Promise.all(Array.from({ length: 3 }, () => openTestPanel(options)))
    await receiver.got(7)
    await expect.poll(() => mailbox.messages.length).toBe(7)
    await ask('and once more')
    await receiver.got(8)
    await expect.poll(() => mailbox.messages.length).toBe(8)
    const bodies = receiver.requests.map(({ body }) => JSON.parse(body) as Record<string, string>)
    expect(bodies.map(({ kind }) => kind).toSorted()).toEqual([...PANEL_ALERTS, 'request.created'].toSorted())
    expect(bodies).toContainEqual(
      expect.objectContaining({ title: 'Unusual spending — agent lead_gen', organization: 'default' }),
    )
    expect(bodies.map(({ text }) => text).join()).toMatch(/grace asks for \$1.00 more: "a larger import"/)
    expect(new Set(bodies.map(({ alert_id }) => alert_id)).size).toBe(8)
    expect(receiver.requests.every(({ headers }) => 'webhook-signature' in headers)).toBe(true)
    for (const message of mailbox.messages) {
      expect(message).toMatch(/^To: heidi@example.com, ivan@example.com\r$/m)
      expect(message).toMatch(/^Organization: default\r$/m)
      expect(message).not.toMatch(/judy|mallory/)
    }
    expect(await fleet.organizations()).toContain(other)
  })

  test("an organization's own webhook gets its alerts once, signed, and nothing of its address or key is shown", async () => {
    const database = await cluster.newDatabase()
    const { receiver } = await openPlaces()
    const options = { database, masterKey, alerts: configOf(undefined, [], HERE) }
    const panel = await openTestPanel(options)
    await Promise.all([openTestPanel(options), openTestPanel(options)])
    const { fleet, organizationId } = panel
    const [ours, theirs] = [
      await adminOf(panel, organizationId),
      await adminOf(panel, await fleet.openOrganization('x')),
    ]
    const url = receiver.url.replace('/hook', '/secret-path')
    const added = await ours.add({ url, secret: 'secret-key', events: ['request.created'] })
    expect(added).toMatchObject({ host: new URL(url).host, events: ['request.created'], created_by: 'ada' })
    await theirs.ask('not ours')
    await ours.ask('mail jane.doe@corp.com')
    await receiver.got(1)
    const { alert_id, channels } = await ours.test()
    await receiver.got(2)
    const channel = `webhook ${added.host} (${added.id})`
    expect(channels).toEqual([channel])
    await expect
      .poll(async () => (await ours.listed()).map(({ delivered }) => delivered))
      .toEqual([[channel], [channel]])
    const [tested, asked] = await ours.listed()
    expect(tested).toMatchObject({ id: alert_id, kind: 'test', detail: 'Sent by ada. Nothing has happened.' })
    expect(asked!.detail).toMatch(/^grace asks for \$1.00 more: "mail \[EMAIL/)
    const bodies = receiver.requests.map(({ body }) => JSON.parse(body) as Record<string, string>)
    expect(bodies.map(({ kind, organization }) => [kind, organization])).toEqual([
      ['request.created', 'default'],
      ['test', 'default'],
    ])
    for (const { headers, body, path } of receiver.requests) {
      expect(path).toBe('/secret-path')
      const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`
      const signature = createHmac('sha256', 'secret-key').update(signed).digest('base64')
      expect(headers['webhook-signature']).toBe(`v1,${signature}`)
    }
    expect(await theirs.send('GET', '/api/fleet/webhooks')).toEqual({ webhooks: [] })
    await expect(theirs.send('DELETE', `/api/fleet/webhooks/${added.id}`)).rejects.toThrow('not_found')
    await expect(theirs.send('POST', `/api/alerts/${alert_id}/resend`)).rejects.toThrow('not_found')
    await ours.send('DELETE', `/api/fleet/webhooks/${added.id}`)
    await ours.ask('too late')
    const audit = await fleet.audit(organizationId, 20)
    expect(audit.map(({ action }) => action)).toEqual(
      expect.arrayContaining(['webhook.created', 'alert.test', 'webhook.removed']),
    )
    const kept = await openPanelDatabase(database)
    onTestFinished(() => kept.close())
    const rows = await Promise.all(
      ['alert_deliveries', 'alert_webhooks', 'audit'].map((table) => kept.system.rows(`SELECT * FROM ${table}`)),
    )
    expect(JSON.stringify([rows, await ours.listed(), await ours.send('GET', '/api/fleet/webhooks')])).not.toMatch(
      /secret-/,
    )
    expect(receiver.requests).toHaveLength(2)
  })

  test('a running delivery is not taken over before its deadline, and a hanging receiver delays no other delivery', async () => {
    const database = await cluster.newDatabase()
    const { receiver } = await openPlaces()
    const hanging = await openHanging()
    onTestFinished(() => hanging[Symbol.asyncDispose]())
    const options = { database, masterKey, alerts: configOf(undefined, [], HERE) }
    const panel = await openTestPanel(options)
    await openTestPanel(options)
    const { add, ask, test: sendTest, listed } = await adminOf(panel, panel.organizationId)
    await add({ url: `http://${hanging.host}/` })
    await add({ url: receiver.url })
    for (const reason of ['one', 'two', 'three']) await ask(reason)
    await receiver.got(3)
    await sendTest()
    await receiver.got(4)
    await expect(sendTest()).rejects.toThrow('conflict')
    expect((await listed()).map(({ delivered, pending }) => [delivered.length, pending.length])).toEqual(
      Array.from({ length: 4 }, () => [1, 1]),
    )
    // Two processes, each with one at a time.
    await expect.poll(() => hanging.connections).toBe(2)
    const kept = await openPanelDatabase(database)
    onTestFinished(() => kept.close())
    const taken = () =>
      kept.system.rows<{ due_at: number }>(
        `SELECT due_at FROM alert_deliveries WHERE state = 'pending' AND due_at > ${kept.dialect.now}`,
      )
    expect(await taken()).toHaveLength(2)
    expect(receiver.requests).toHaveLength(4)
    // As if both processes had been killed, and their time had passed.
    await kept.system.rows(`UPDATE alert_deliveries SET due_at = ${kept.dialect.now} WHERE state = 'pending'`)
    await openTestPanel(options)
    await expect.poll(() => hanging.connections).toBe(3)
  })
})

describe('on an SQLite file', () => {
  test('a budget warns at 90 and at 99 % of its limit, once each in its period, and again for another limit', async () => {
    const database = await openPanelDatabase(temporaryFile('panel.db'))
    onTestFinished(() => database.close())
    const fleet = new Fleet(database)
    const id = await fleet.openOrganization('default')
    const organization = { scope: 'organization', name: null } as const
    await fleet.setLimit(id, organization, { limit: dollars('100') }, 'ada')
    await fleet.setLimit(id, { scope: 'agent', name: 'lead gen; rm' }, { limit: dollars('10'), period: 'day' }, 'ada')
    await fleet.setLimit(id, { scope: 'team', name: 'idle' }, { limit: nothing }, 'ada')
    const { spend } = await joinRuntime(fleet, id)
    const causes = async () => {
      const found = await findCauses(database.system, database.dialect)
      expect(await findCauses(database.system, database.dialect)).toMatchObject(
        found.map(({ subject }) => ({ subject })),
      )
      return found.map(({ level, title, detail, subject }) => ({ level, text: `${title}: ${detail}`, subject }))
    }
    await spend('8.99', 'lead gen; rm')
    expect(await causes()).toEqual([])
    await spend('0.01', 'lead gen; rm')
    const ofAgent =
      "Budget warning — agent lead gen; rm: $9.00 of $10.00 spent (90.0%). Calls that don't fit the remaining budget are blocked. To approve more: iron-cage budget add --agent <name> 5"
    expect(await causes()).toMatchObject([{ level: 'WARN', text: ofAgent }])
    // Spending in another period does not count.
    await fleet.setLimit(id, { scope: 'agent', name: 'lead gen; rm' }, { limit: dollars('10'), period: 'month' }, 'ada')
    expect(await causes()).toEqual([])
    await spend('81')
    const [warned] = await causes()
    expect(warned).toMatchObject({ level: 'WARN', text: expect.stringMatching(/organization default.* --org 50$/) })
    await spend('9')
    const [critical] = await causes()
    expect(critical).toMatchObject({ level: 'CRIT', text: expect.stringContaining('(99.0%)') })
    await fleet.setLimit(id, organization, { limit: dollars('101') }, 'ada')
    const [again] = await causes()
    expect(again).toMatchObject({ level: 'WARN', text: expect.stringContaining('(98.0%)') })
    expect(new Set([warned, critical, again].map((cause) => cause!.subject)).size).toBe(3)
  })

  test('a machine that was lent money is alerted to after a day of silence, not before, and not once it is back', async () => {
    const database = await openPanelDatabase(temporaryFile('panel.db'))
    onTestFinished(() => database.close())
    const fleet = new Fleet(database)
    const id = await fleet.openOrganization('default')
    await fleet.setLimit(id, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
    const { borrow, open } = await joinRuntime(fleet, id)
    const lease = await borrow('0.5')
    const causes = async () =>
      (await findCauses(database.system, database.dialect)).map(({ kind, title }) => [kind, title])
    const passMs = (ms: number) => database.system.rows('UPDATE leases SET expires_at = expires_at - $1', [ms])
    await passMs(70_000)
    expect(await fleet.expire()).toEqual([lease])
    await passMs(86_300_000)
    expect(await causes()).toEqual([])
    await passMs(100_000)
    expect(await causes()).toEqual([['lease.expired', 'Machine silent — laptop']])
    await open('one')
    expect(await causes()).toEqual([])
  })

  test('an alert that a receiver does not take is sent again under the same id, and given up in the end', async () => {
    const { receiver } = await openPlaces()
    const notices: string[] = []
    const gone = await openReceiver([500])
    onTestFinished(() => gone[Symbol.asyncDispose]())
    receiver.answerWith(500, 503, 200)
    const { fleet, organizationId } = await openTestPanel({
      database: temporaryFile('panel.db'),
      alerts: configOf(undefined, [{ url: receiver.url }, { url: gone.url, events: ['request.created'] }]),
      onNotice: (text) => notices.push(text),
    })
    await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
    const member = { ...MEMBER, organizationId }
    await fleet.requests.create(member, { scope: 'organization', name: null }, dollars('1'), 'more')
    await receiver.got(3)
    await gone.got(QUICK.attempts)
    const ids = [...receiver.requests, ...gone.requests].map(
      ({ body }) => (JSON.parse(body) as { alert_id: string }).alert_id,
    )
    expect(new Set(ids).size).toBe(1)
    await expect
      .poll(() => notices.join())
      .toMatch(
        /alert "Approval needed — organization default" of default not sent by webhook .*given up: it answered 500/,
      )
  })

  test('a place gets the events that it names, and nothing of its address or key is in a row', async () => {
    const { mailbox, receiver } = await openPlaces()
    const database = temporaryFile('panel.db')
    const hook = { url: `${receiver.url}/secret-path`, secret: 'secret-key', events: ['sign_in.failed'] }
    const panel = await openTestPanel({ database, alerts: configOf(mailbox, [hook]) })
    const { fleet, organizationId } = panel
    await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
    const person = {
      username: 'heidi',
      role: 'admin',
      password: 'a long password',
      email: 'heidi@example.com',
    } as const
    await fleet.people.add({ organizationId, name: 'ada' }, person)
    await fleet.requests.create({ ...MEMBER, organizationId }, { scope: 'organization', name: null }, dollars('1'), 'x')
    await expect.poll(() => mailbox.messages.length).toBe(1)
    for (let n = 0; n < MANY_FAILURES; n++) await fleet.people.failures.count('default')
    await receiver.got(1)
    await expect.poll(() => mailbox.messages.length).toBe(2)
    await panel.close()
    const kept = await openPanelDatabase(database)
    onTestFinished(() => kept.close())
    const rows = await kept.system.rows<{ channel: string; state: string }>('SELECT * FROM alert_deliveries')
    expect(rows.map(({ channel, state }) => [channel.replace(/ .*/, ''), state]).toSorted()).toEqual([
      ['e-mail', 'delivered'],
      ['e-mail', 'delivered'],
      ['webhook', 'delivered'],
    ])
    expect(JSON.stringify(rows)).not.toMatch(/secret|@/)
  })
})

describe("an organization's own webhook", () => {
  test("an organization's own webhook reaches the public internet over https, and otherwise only networks that the file of the panel names", async () => {
    const panel = await openTestPanel({ masterKey, alerts: configOf(undefined, [], ['10.1.0.0/16', '169.254.0.0/16']) })
    const { add, send } = await adminOf(panel, panel.organizationId)
    for (const [url, code] of [
      ...['127.0.0.1', 'localhost', '10.2.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', '0.0.0.0', '224.0.0.1'],
      ...['[::1]', '[::ffff:127.0.0.1]', '[fd00::1]', '[fe80::1]', '[2002:7f00:1::]', '[64:ff9b::7f00:1]', '[::]'],
      ...['169.254.169.254', '[fd00:ec2::254]', '2130706433', 'no-such-name.invalid'],
    ].map((host) => [`https://${host}/`, 'bad_request'] as const)) {
      await expect(add({ url }), url).rejects.toThrow(code)
    }
    for (const url of ['http://8.8.8.8/', 'https://ada:x@8.8.8.8/', 'ftp://8.8.8.8/', 'javascript:alert(1)']) {
      await expect(add({ url }), url).rejects.toThrow('bad_request')
    }
    const events = ['sign_in.failed']
    for (const url of ['http://10.1.2.3/', 'https://8.8.8.8/', 'https://[2001:4860:4860::8888]/x'])
      await add({ url, events })
    for (let n = 0; n < 2; n++) await add({ url: 'https://8.8.8.8/', events })
    await expect(add({ url: 'https://8.8.8.8/', events })).rejects.toThrow('conflict')
    const { webhooks } = await send<{ webhooks: AlertWebhookView[] }>('GET', '/api/fleet/webhooks')
    expect(webhooks.map(({ host }) => host)).toContain('[2001:4860:4860::8888]')
  })

  test('a webhook address is checked again at each delivery, and is locked without a master key', async () => {
    const { receiver } = await openPlaces()
    const { port } = new URL(receiver.url)
    const database = temporaryFile('panel.db')
    const before = await openTestPanel({ database, masterKey, alerts: configOf(undefined, [], HERE) })
    const { add } = await adminOf(before, before.organizationId)
    for (const host of ['127.0.0.1', 'localhost']) await add({ url: `http://${host}:${port}/hook` })
    await before.close()
    const locked = await openTestPanel({ database, alerts: configOf(undefined, []) })
    const withoutKey = await adminOf(locked, locked.organizationId)
    await expect(withoutKey.add({ url: 'https://8.8.8.8/' })).rejects.toThrow('vault_locked')
    await locked.close()
    const panel = await openTestPanel({ database, masterKey, alerts: configOf(undefined, []) })
    const { listed, ask } = await adminOf(panel, panel.organizationId)
    await ask('more')
    await expect
      .poll(async () => (await listed()).flatMap(({ failed }) => failed.map(({ error }) => error)).toSorted())
      .toEqual([
        '127.0.0.1 is not a public address',
        expect.stringMatching(/^its name resolves to \S+, not a public address$/),
      ])
    expect(receiver.requests).toEqual([])
  })
})

test('the file of a panel names no link-local address, no recipient and no event that there is not', () => {
  const problems = (alerts: object) =>
    panelFileSchema.safeParse({ alerts }).error?.issues.map(({ path }) => path.join('.'))
  const email = { from: 'panel@example.com', smtp_url: 'smtp://localhost:25' }
  expect(problems({ email, webhooks: [{ url: 'http://127.0.0.1/hook' }] })).toBeUndefined()
  expect(problems({ networks: ['10.0.0.0/8', '0.0.0.0/0', 'example.com'] })).toEqual([
    'alerts.networks.1',
    'alerts.networks.2',
  ])
  expect(problems({ webhooks: [{ url: 'http://169.254.169.254/' }] })).toEqual(['alerts.webhooks.0.url'])
  expect(problems({ email: { ...email, to: 'eve@example.com' } })).toEqual(['alerts.email'])
  expect(problems({ email: { ...email, events: ['circuit.opened'] } })).toEqual(['alerts.email.events.0'])
})
