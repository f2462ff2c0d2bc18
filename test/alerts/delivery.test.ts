import { createHmac } from 'node:crypto'
import dns from 'node:dns'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { RETRY_POLICY } from '../../src/alerts/channel.ts'
import { toAgentId } from '../../src/core/ids.ts'
import { budgetWarned } from '../support/events.ts'
import {
  circuitOpened,
  openHanging,
  openMailbox,
  openReceiver,
  openWorld,
  piiFound,
  QUICK,
  type World,
} from './support.ts'

afterEach(() => void vi.restoreAllMocks())

const email = (smtp_url: string) => ({
  email: { to: ['ops@company.com', 'night@company.com'], from: 'cage@company.com', smtp_url },
})
const count = ({ events }: World, type: string) => events.filter((event) => event.type === type).length

type LookedUp = (error: null, addresses: object[]) => void

/** A database file that two servers open after each other. */
function databaseFile(): Disposable & { path: string } {
  const folder = mkdtempSync(join(tmpdir(), 'alerts-'))
  return { path: join(folder, 'iron_state.db'), [Symbol.dispose]: () => rmSync(folder, { recursive: true }) }
}

test('a budget warning arrives once, is marked as sent only then, and the event has how long it took', async () => {
  await using mailbox = await openMailbox()
  await using world = openWorld(email(mailbox.url))
  world.record(budgetWarned)
  expect(count(world, 'alert.delivered')).toBe(0)
  const { data, message } = await world.seen('alert.delivered')
  expect(data).toMatchObject({ channel: 'e-mail', alert_id: (await world.seen('alert.raised')).data.alert_id })
  process.stdout.write(`an alert was in the mailbox after ${data.latency_ms} ms\n`)
  expect(message).toMatch(/^Alert "Budget warning" sent by e-mail \(\d+(\.\d)? (ms|s)\)$/)
  expect(mailbox.messages).toHaveLength(1)
  const [mail] = mailbox.messages
  expect(mail).toContain('Subject: [Iron Cage] Budget warning (lg-7a3f9c2d)')
  expect(mail).toContain('To: ops@company.com, night@company.com')
  expect(mail).toContain('$45.07 of $50.00 spent (90.1%).')
  expect(mail).toContain(`Message-ID: <${data.alert_id}@iron-cage>`)
  expect(world.state.read().alerts[0]!.delivered).toEqual(['e-mail'])
  expect(JSON.stringify(world.events)).not.toContain('company.com')
})

test('a webhook and a mailbox get every kind of alert, unless they select events', async () => {
  await using mailbox = await openMailbox()
  await using receiver = await openReceiver()
  await using world = openWorld({ ...email(mailbox.url), webhooks: [{ url: receiver.url }] })
  world.record(circuitOpened)
  world.record(piiFound())
  world.record(budgetWarned)
  await world.seen('alert.delivered', 6)
  const kinds = receiver.requests.map(({ body }) => JSON.parse(body).kind)
  expect(kinds).toEqual(['circuit_opened', 'pii_found', 'budget_warning'])
  expect(mailbox.messages).toHaveLength(3)
})

test('a mailbox receives only the kinds of events that its configuration lists', async () => {
  await using mailbox = await openMailbox()
  const { email: address } = email(mailbox.url)
  await using world = openWorld({ email: { ...address, events: ['audit.broken', 'pii.found'] } })
  world.record(circuitOpened)
  world.record(piiFound())
  world.record({ type: 'audit.broken', level: 'CRIT', message: '', data: { problem: 'row 7 was edited', row: 7 } })
  await world.seen('alert.delivered', 2)
  expect(mailbox.messages.map((mail) => /^Subject: (.+)$/m.exec(mail)![1]!.trim())).toEqual([
    '=?UTF-8?Q?=5BIron_Cage=5D_Personal_data_found_?=',
    '[Iron Cage] Audit tampered with',
  ])
})

test('a webhook receives only the kinds of events that its configuration lists', async () => {
  await using receiver = await openReceiver()
  await using world = openWorld({ webhooks: [{ url: receiver.url, events: ['pii.found'] }] })
  world.record(circuitOpened)
  world.record(budgetWarned)
  world.record(piiFound())
  await world.seen('alert.delivered')
  expect(receiver.requests.map(({ body }) => JSON.parse(body).kind)).toEqual(['pii_found'])
})

test('a webhook carries the text for Slack, the facts, and a Standard Webhooks signature over both', async () => {
  const key = Buffer.from('0123456789abcdef0123456789abcdef')
  await using receiver = await openReceiver()
  await using world = openWorld({ webhooks: [{ url: receiver.url, secret: `whsec_${key.toString('base64')}` }] })
  world.record(piiFound('lead 67 <!channel> & more'))
  const { data } = await world.seen('alert.delivered')
  expect(data.channel).toBe(`webhook ${new URL(receiver.url).host}`)
  const { headers, body } = receiver.requests[0]!
  expect(JSON.parse(body)).toEqual({
    text: 'Personal data found — e-mail address\nIn a reply of lead 67 &lt;!channel&gt; &amp; more, redacted (risk HIGH). To list the incidents: iron-cage incidents --agent lg-7a3f9c2d\nAgent lg-7a3f9c2d',
    kind: 'pii_found',
    level: 'CRIT',
    title: 'Personal data found — e-mail address',
    detail:
      'In a reply of lead 67 <!channel> & more, redacted (risk HIGH). To list the incidents: iron-cage incidents --agent lg-7a3f9c2d',
    agent_id: 'lg-7a3f9c2d',
    agent_name: null,
    at: expect.stringMatching(/^\d{4}-.*Z$/),
    alert_id: data.alert_id,
  })
  expect(headers['webhook-id']).toBe(data.alert_id)
  const timestamp = Number(headers['webhook-timestamp'])
  expect(Math.abs(Date.now() / 1000 - timestamp)).toBeLessThan(60)
  const signature = createHmac('sha256', key).update(`${data.alert_id}.${timestamp}.${body}`).digest('base64')
  expect(headers['webhook-signature']).toBe(`v1,${signature}`)
})

test("a secret that is not in the scheme's own form is the key as it is, and without one nothing is signed", async () => {
  await using receiver = await openReceiver()
  await using world = openWorld({
    webhooks: [{ url: `${receiver.url}/a`, secret: 'plain words' }, { url: `${receiver.url}/b` }],
  })
  world.record(piiFound())
  await world.seen('alert.delivered', 2)
  const [signed, plain] = receiver.requests.sort((a, b) => a.path.localeCompare(b.path))
  const { 'webhook-id': id, 'webhook-timestamp': timestamp } = signed!.headers
  const signature = createHmac('sha256', 'plain words').update(`${id}.${timestamp}.${signed!.body}`).digest('base64')
  expect(signed!.headers['webhook-signature']).toBe(`v1,${signature}`)
  expect(plain!.headers).not.toHaveProperty('webhook-signature')
  const names = world.events.flatMap((event) => (event.type === 'alert.delivered' ? [event.data.channel] : []))
  expect(new Set(names).size).toBe(2)
})

test('a receiver that answers 500 gets the alert again, under the same id, until it answers 200', async () => {
  await using receiver = await openReceiver([500, 500, 200])
  await using world = openWorld({ webhooks: [{ url: receiver.url, secret: 's' }] })
  world.record(piiFound())
  await world.seen('alert.delivered')
  expect(receiver.requests).toHaveLength(3)
  expect(new Set(receiver.requests.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
  expect(count(world, 'alert.failed')).toBe(0)
})

test('a receiver that answers 500 for ever ends in a dead letter, which can be sent again', async () => {
  await using receiver = await openReceiver([500])
  await using world = openWorld({ webhooks: [{ url: receiver.url }] })
  world.record(piiFound())
  const { data } = await world.seen('alert.failed')
  expect(data.error).toBe('it answered 500')
  expect(receiver.requests).toHaveLength(QUICK.attempts)
  expect(count(world, 'alert.delivered')).toBe(0)
  const shown = () => world.state.read().alerts[0]!
  expect(shown().failed).toEqual([{ channel: data.channel, error: 'it answered 500' }])
  receiver.answerWith(204)
  expect(world.alerts.resend(data.alert_id)).toBe(1)
  await world.seen('alert.delivered')
  expect([shown().delivered, shown().failed]).toEqual([[data.channel], []])
  expect(world.alerts.resend(data.alert_id)).toBe(0)
  expect(receiver.requests).toHaveLength(QUICK.attempts + 1)
})

test('eight attempts are spread over more than half an hour', () => {
  const waits = Array.from({ length: RETRY_POLICY.attempts - 1 }, (_, index) => RETRY_POLICY.backoffMs * 3 ** index)
  const minutes = waits.reduce((sum, wait) => sum + wait, 0) / 60_000
  expect(RETRY_POLICY.attempts).toBe(8)
  expect(minutes).toBeGreaterThan(30)
  expect(minutes).toBeLessThan(40)
})

test('a hanging SMTP server holds up neither records nor webhooks', async () => {
  await using hanging = await openHanging()
  await using receiver = await openReceiver()
  await using world = openWorld(
    { ...email(`smtp://${hanging.host}`), webhooks: [{ url: receiver.url }] },
    { retryPolicy: { ...QUICK, attemptMs: 600_000, closeMs: 10 } },
  )
  for (let i = 0; i < 2; i++) world.record(budgetWarned)
  await world.seen('alert.delivered', 2)
  expect(receiver.requests).toHaveLength(2)
  expect(count(world, 'alert.failed')).toBe(0)
  await world.alerts.close()
  await hanging.left()
})

test('a hanging SMTP server runs into the deadline of each attempt', async () => {
  await using hanging = await openHanging()
  await using world = openWorld(email(`smtp://${hanging.host}`), {
    retryPolicy: { ...QUICK, attempts: 1, attemptMs: 1_000 },
  })
  world.record(budgetWarned)
  const { data } = await world.seen('alert.failed')
  expect(data).toMatchObject({ channel: 'e-mail', error: 'no answer within 1.0 s' })
  await hanging.left()
})

test('a webhook that hangs is given up, and its connection is closed', async () => {
  await using hanging = await openHanging()
  await using world = openWorld(
    { webhooks: [{ url: `http://${hanging.host}/` }] },
    { retryPolicy: { ...QUICK, attempts: 2, attemptMs: 1_000 } },
  )
  world.record(piiFound())
  expect((await world.seen('alert.failed')).data.error).toBe('no answer within 1.0 s')
  expect(hanging.connections).toBe(2)
  await hanging.left()
})

test('a mail server that is down or refuses is reported without its own text', async () => {
  const retryPolicy = { ...QUICK, attempts: 1 }
  await using nobody = openWorld(email('smtp://127.0.0.1:1'), { retryPolicy })
  nobody.record(budgetWarned)
  expect((await nobody.seen('alert.failed')).data.error).toBe('the SMTP server cannot be used (ESOCKET)')

  await using mailbox = await openMailbox({ refuse: 'no such user ops@company.com' })
  await using refused = openWorld(email(mailbox.url), { retryPolicy })
  refused.record(budgetWarned)
  expect((await refused.seen('alert.failed')).data.error).toBe('the SMTP server answered 550')
})

test('a new server delivers the alerts that the previous server could not', async () => {
  using file = databaseFile()
  await using receiver = await openReceiver([503])
  const webhooks = [{ url: receiver.url }]
  const retryPolicy = { ...QUICK, backoffMs: 3_600_000 }
  {
    await using world = openWorld({ webhooks }, { path: file.path, retryPolicy })
    world.record(piiFound())
    world.record(circuitOpened)
    await receiver.got(2)
  }
  receiver.answerWith(200)
  await using world = openWorld({ webhooks }, { path: file.path, retryPolicy })
  await world.seen('alert.delivered', 2)
  expect(receiver.requests).toHaveLength(4)
  expect(receiver.requests.slice(2).map(({ body }) => JSON.parse(body).kind)).toEqual(['pii_found', 'circuit_opened'])
  expect(world.state.read().alerts.map(({ delivered }) => delivered.length)).toEqual([1, 1])
})

test('a restart repeats no delivered alert, and reports a pending alert whose channel is gone', async () => {
  using file = databaseFile()
  await using receiver = await openReceiver()
  await using hanging = await openHanging()
  {
    const retryPolicy = { ...QUICK, closeMs: 10 }
    await using world = openWorld(
      { ...email(`smtp://${hanging.host}`), webhooks: [{ url: receiver.url }] },
      { path: file.path, retryPolicy },
    )
    world.record(budgetWarned)
    await world.seen('alert.delivered')
  }
  await using world = openWorld({ webhooks: [{ url: receiver.url }] }, { path: file.path })
  const failed = world.state.findEvents({ type: 'alert.failed', limit: 10 })
  expect(failed.map(({ data }) => data)).toMatchObject([
    { channel: 'e-mail', error: 'the channel is not configured any more' },
  ])
  world.record(circuitOpened)
  await world.seen('alert.delivered')
  const kinds = receiver.requests.map(({ body }) => JSON.parse(body).kind)
  expect(kinds).toEqual(['budget_warning', 'circuit_opened'])
})

test('closing lets a running delivery end, and ends a hanging one in time', async () => {
  await using mailbox = await openMailbox()
  const world = openWorld(email(mailbox.url), { retryPolicy: { ...QUICK, closeMs: 600_000 } })
  world.record(budgetWarned)
  await world.alerts.close()
  expect(mailbox.messages).toHaveLength(1)

  await using hanging = await openHanging()
  const stuck = openWorld(email(`smtp://${hanging.host}`), { retryPolicy: { ...RETRY_POLICY, attempts: 1 } })
  stuck.record(budgetWarned)
  await stuck.alerts.close()
  expect(count(stuck, 'alert.failed')).toBe(0)
  await hanging.left()
  for (const { state, store } of [world, stuck]) {
    state.close()
    store.close()
  }
})

test('a line break in a title starts no header', async () => {
  await using mailbox = await openMailbox()
  await using world = openWorld(email(mailbox.url))
  world.record({ ...budgetWarned, agent_id: toAgentId('lg-1\r\nBcc: thief@evil.example\r\n\r\nHello') })
  await world.seen('alert.delivered')
  const headers = mailbox.messages[0]!.split('\r\n\r\n')[0]!
  expect(headers).toContain('lg-1 Bcc: thief@evil.example')
  expect(headers).not.toMatch(/^Bcc:/m)
})

test('redirects are not followed', async () => {
  await using target = await openReceiver()
  await using receiver = await openReceiver([302], { location: target.url })
  await using world = openWorld({ webhooks: [{ url: receiver.url }] }, { retryPolicy: { ...QUICK, attempts: 1 } })
  world.record(piiFound())
  expect((await world.seen('alert.failed')).data.error).toBe('it answered 302')
  expect(target.requests).toHaveLength(0)
})

test.each([
  ['http', [{ address: '169.254.169.254', family: 4 }]],
  ['http', [{ address: '100.100.100.200', family: 4 }]],
  [
    'https',
    [
      { address: '93.184.216.34', family: 4 },
      { address: 'fe80::1', family: 6 },
    ],
  ],
  ['https', [{ address: '::ffff:169.254.169.254', family: 6 }]],
])('nothing is sent by %s to a name that resolves to %j, and it is not tried again', async (protocol, addresses) => {
  const lookup = vi
    .spyOn(dns, 'lookup')
    .mockImplementation(((_name: string, _options: object, callback: LookedUp) => callback(null, addresses)) as never)
  await using world = openWorld({ webhooks: [{ url: `${protocol}://rebound.example/` }] })
  world.record(piiFound())
  const { data } = await world.seen('alert.failed')
  expect(data.error).toMatch(/^its name resolves to .*, a link-local or metadata address$/)
  expect(lookup).toHaveBeenCalledTimes(1)
})

test('an endless answer does not keep a delivery from ending', async () => {
  await using receiver = await openReceiver([200], { 'content-length': '1000000000' })
  await using world = openWorld({ webhooks: [{ url: receiver.url }] })
  world.record(piiFound())
  await world.seen('alert.delivered')
  expect(world.faults).toEqual([])
})
