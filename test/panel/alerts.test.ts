/** What the admins of an organization are alerted to, over a real SMTP server and a real HTTP receiver. */
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { panelFileSchema } from '../../src/config/schema.ts'
import { MANY_FAILURES } from '../../src/panel/alert-causes.ts'
import { grantLease, openRuntime } from '../../src/panel/bank.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import type { Fleet } from '../../src/panel/fleet.ts'
import { type Mailbox, openMailbox, openReceiver, QUICK, type Receiver } from '../alerts/support.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'

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

const configOf = (mailbox: Mailbox | undefined, webhooks: readonly object[]) => {
  const email = mailbox && { from: 'panel@example.com', smtp_url: mailbox.url }
  const { alerts: config } = panelFileSchema.parse({ alerts: { webhooks, ...(email && { email }) } })
  return { config, retryPolicy: QUICK }
}

/** Everything that somebody is alerted to, in an organization with two admins and a viewer. Returns what asks once more. */
async function trouble(fleet: Fleet, organizationId: string, database: string) {
  const { bank, credentials, people, requests } = fleet
  const ada = { organizationId, name: 'ada' }
  await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars('5') }, 'ada')
  const password = 'a long password'
  for (const [username, role] of [
    ['heidi', 'admin'],
    ['ivan', 'admin'],
    ['judy', 'viewer'],
  ] as const) {
    await people.add(ada, { username, role, password, email: `${username}@example.com` })
  }
  await people.add(ada, { username: 'mallory', role: 'admin', password })
  const invitation = await credentials.invite(organizationId, { team: null, user: null }, 'x', 'ada')
  const { runtimeId } = await credentials.join((await credentials.identify(invitation))!, 'laptop', '1')
  const open = (journalId: string) =>
    bank.run({ runtimeId, allLeases: true }, (books) => openRuntime(books, runtimeId, { journalId, epoch: 0 }, 60_000))
  const { epoch } = await open('one')
  const amount = dollars('1')
  const asked = { epoch, request: 0, least: amount, want: amount, agent: null, token: null }
  await bank.run({ runtimeId }, (books) => grantLease(books, runtimeId, asked, 60_000))
  await open('another')
  const ask = (reason: string) =>
    requests.create({ ...MEMBER, organizationId }, { scope: 'organization', name: null }, amount, reason)
  await ask('a larger import')
  const { system, close } = await openPanelDatabase(database).catch(() => ({ system: undefined, close: undefined }))
  await system?.rows(
    `INSERT INTO spending_alerts (organization_id, scope, name, day, raised_at, cost_nanos, usual_nanos)
     VALUES ($1, 'agent', 'lead_gen', '2026-01-02', $2, 9000000000, 1000000000)`,
    [organizationId, Date.now()],
  )
  await close?.()
  return ask
}

describe('on PostgreSQL', () => {
  test('unusual spending, a quarantined lease, a request and many failed sign-ins reach the admins and the webhook once, whichever processes look', async () => {
    const address = await cluster.newDatabase()
    const { mailbox, receiver } = await openPlaces()
    const options = { database: address, alerts: configOf(mailbox, [{ url: receiver.url, secret: 'key' }]) }
    const { fleet, organizationId } = await openTestPanel({ database: address })
    const ask = await trouble(fleet, organizationId, address)
    const other = await fleet.openOrganization('other')
    for (let n = 0; n < MANY_FAILURES - 1; n++) await fleet.people.failures.count('other')
    for (let n = 0; n < MANY_FAILURES; n++) await fleet.people.failures.count('default')
    await Promise.all(Array.from({ length: 3 }, () => openTestPanel(options)))
    await receiver.got(4)
    await expect.poll(() => mailbox.messages.length).toBe(4)
    await ask('and once more')
    await receiver.got(5)
    await expect.poll(() => mailbox.messages.length).toBe(5)
    const bodies = receiver.requests.map(({ body }) => JSON.parse(body) as Record<string, string>)
    expect(bodies.map(({ kind }) => kind).toSorted()).toEqual([
      'lease.quarantined',
      ...['request.created', 'request.created'],
      'sign_in.failed',
      'spending.unusual',
    ])
    expect(bodies).toContainEqual(
      expect.objectContaining({ title: 'Unusual spending — agent lead_gen', organization: 'default' }),
    )
    expect(bodies.map(({ text }) => text).join()).toMatch(/grace asks for \$1.00 more: "a larger import"/)
    expect(new Set(bodies.map(({ alert_id }) => alert_id)).size).toBe(5)
    expect(receiver.requests.every(({ headers }) => 'webhook-signature' in headers)).toBe(true)
    for (const message of mailbox.messages) {
      expect(message).toMatch(/^To: heidi@example.com, ivan@example.com\r$/m)
      expect(message).toMatch(/^Organization: default\r$/m)
      expect(message).not.toMatch(/judy|mallory/)
    }
    expect(await fleet.organizations()).toContain(other)
  })
})

describe('on an SQLite file', () => {
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

test('the file of a panel names no link-local address, no recipient and no event that there is not', () => {
  const problems = (alerts: object) =>
    panelFileSchema.safeParse({ alerts }).error?.issues.map(({ path }) => path.join('.'))
  const email = { from: 'panel@example.com', smtp_url: 'smtp://localhost:25' }
  expect(problems({ email, webhooks: [{ url: 'http://127.0.0.1/hook' }] })).toBeUndefined()
  expect(problems({ webhooks: [{ url: 'http://169.254.169.254/' }] })).toEqual(['alerts.webhooks.0.url'])
  expect(problems({ email: { ...email, to: 'eve@example.com' } })).toEqual(['alerts.email'])
  expect(problems({ email: { ...email, events: ['circuit.opened'] } })).toEqual(['alerts.email.events.0'])
})
