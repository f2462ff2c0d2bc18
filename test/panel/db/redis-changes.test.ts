/** Panels on one PostgreSQL that publish their changes to each other through a real Redis. */
import { exec } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { promisify } from 'node:util'
import { createClient } from '@redis/client'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { openLink } from '../../../scripts/soak/fleet/link.ts'
import type { Member } from '../../../src/panel/access/credentials.ts'
import { Fleet } from '../../../src/panel/bank/budgets.ts'
import { HOLD_MS } from '../../../src/panel/control/control.ts'
import { openPanelDatabase } from '../../../src/panel/db/open.ts'
import { redisName } from '../../../src/panel/db/redis-address.ts'
import { type AnnouncedDatabase, problemOfRedis, throughRedis } from '../../../src/panel/db/redis-changes.ts'
import { ORGANIZATION } from '../../../src/panel/organization.ts'
import type { PanelOptions } from '../../../src/panel/server.ts'
import { openPlace } from '../../cli/support.ts'
import { TestClock } from '../../support/clock.ts'
import fc from '../../support/fast-check.ts'
import { dollars } from '../../support/money.ts'
import { openTestPanel } from '../open-panel.ts'
import { type Cluster, startCluster } from '../postgres.ts'
import { openRedis } from '../redis.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

const NEVER = new AbortController().signal
const PASSWORD = 'correct horse'

/** A panel whose requests wait for news as long as its clock stands. */
async function openPanel(options: Partial<PanelOptions>) {
  const clock = new TestClock()
  const notices: string[] = []
  const panel = await openTestPanel({ clock, onNotice: (text) => notices.push(text), ...options })
  const health = async () => {
    const answers = await Promise.all(['/health/ready', '/api/health'].map((path) => fetch(panel.url + path)))
    const [ready, shown] = (await Promise.all(answers.map((answer) => answer.json()))) as { redis?: string }[]
    expect(shown!.redis).toBe(ready!.redis)
    return `${answers.map(({ status }) => status).join(' ')} ${ready!.redis}`
  }
  return { panel, clock, notices, health }
}

type Opened = Awaited<ReturnType<typeof openPanel>>

async function joined({ panel: { fleet, organizationId } }: Opened): Promise<Member> {
  const invitation = await fleet.credentials.invite(organizationId, { team: null, user: null }, 'laptop', 'ada')
  const { token } = await fleet.credentials.join((await fleet.credentials.identify(invitation))!, 'laptop', '1')
  return (await fleet.credentials.identify(token))!
}

/** A request of the runtime that waits for news there. */
async function waitAt({ panel: { control } }: Opened, member: Member) {
  const { revision } = await control.next(member, undefined, NEVER)
  let isAnswered = false
  const answer = control.next(member, revision, NEVER).finally(() => {
    isAnswered = true
  })
  answer.catch(() => undefined)
  // Lookups take turns: when this one is answered, that one has found nothing new.
  await control.next(member, undefined, NEVER)
  return { answer, revision, isAnswered: () => isAnswered }
}

const setLimit = ({ panel: { fleet, organizationId } }: Opened, limit: string) =>
  fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: dollars(limit) }, 'ada')

const connected = (...panels: Opened[]) =>
  Promise.all(panels.map(({ health }) => expect.poll(health, { timeout: 10_000 }).toBe('200 200 ok')))

async function listening(database: string): Promise<number> {
  const client = new pg.Client(database)
  await client.connect()
  const { rows } = await client.query("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")
  await client.end()
  return rows.length
}

/** A database with an organization, and the messages that its listener received. */
async function openAnnounced(url: string) {
  const stored = await openPanelDatabase(await cluster.newDatabase())
  const organizationId = await new Fleet(stored).openOrganization(ORGANIZATION)
  const database: AnnouncedDatabase = throughRedis(stored, url, () => {})
  onTestFinished(() => database.close())
  const heard: (string | undefined)[] = []
  database.listen((id) => heard.push(id))
  await expect.poll(() => database.isConnected()).toBe(true)
  heard.length = 0
  return { database, organizationId, heard, channel: `iron_cage_changes:${organizationId}` }
}

async function openStranger(url: string) {
  const stranger = createClient({ url })
  await stranger.connect()
  onTestFinished(() => stranger.destroy())
  return stranger
}

const newIds = (count: number) => Array.from({ length: count }, (_, n) => `org-${n.toString(16).padStart(12, '0')}`)

test('the other panels learn of a change at once: with Redis only through Redis, otherwise by NOTIFY', async () => {
  const redis = await openRedis()
  await redis.start()
  const database = await cluster.newDatabase()
  const [one, other] = [
    await openPanel({ database, redis: redis.url }),
    await openPanel({ database, redis: redis.url }),
  ]
  await connected(one, other)
  const member = await joined(one)
  const { orders, policies, fleet, organizationId } = one.panel
  const ada = { organizationId, name: 'ada' }
  const changes: [() => Promise<unknown>, object][] = [
    [() => setLimit(one, '5'), { limits: String(dollars('5')) }],
    [
      () => orders.create(ada, { runtimeId: member.id, agentId: 'a-1', action: 'stop' }),
      { orders: [{ agent_id: 'a-1', action: 'stop' }] },
    ],
    [() => policies.set(ada, { safety: { mode: 'block' } }), { policy: { settings: { safety: { mode: 'block' } } } }],
  ]
  for (const [change, state] of changes) {
    const { answer } = await waitAt(other, member)
    await change()
    expect(await answer).toMatchObject(state)
  }
  expect(await listening(database)).toBe(0)

  const without = await openPanel({ database })
  await expect.poll(() => listening(database)).toBe(1)
  expect(await without.health()).toBe('200 200 undefined')
  const waiting = [await waitAt(without, member), await waitAt(other, member)]
  await fleet.revoke(organizationId, member.id, 'ada')
  for (const { answer } of waiting) await expect(answer).rejects.toMatchObject({ code: 'runtime_revoked' })
  expect([...one.notices, ...other.notices]).toEqual([])
})

test('panels start without Redis and survive its loss: changes arrive late meanwhile, and at once after its return', async () => {
  const redis = await openRedis()
  const database = await cluster.newDatabase()
  const [one, other] = [
    await openPanel({ database, redis: redis.url }),
    await openPanel({ database, redis: redis.url }),
  ]
  const member = await joined(one)
  const lost = expect.stringMatching(/^redis:\/\/127\.0\.0\.1:\d+ cannot be used: .+ heard on others after up to 20 s$/)
  const back = expect.stringMatching(/can be used again$/)
  for (const turn of [1, 2]) {
    await expect.poll(one.health, { timeout: 5_000 }).toBe('200 200 unreachable')
    await expect.poll(other.health, { timeout: 5_000 }).toBe('200 200 unreachable')
    const here = await waitAt(one, member)
    const late = await waitAt(other, member)
    await setLimit(one, `${turn}1`)
    expect(await here.answer).toMatchObject({ limits: String(dollars(`${turn}1`)) })
    expect(late.isAnswered()).toBe(false)
    other.clock.advance(HOLD_MS)
    expect(await late.answer).toMatchObject({ limits: String(dollars(`${turn}1`)) })

    const missed = await waitAt(other, member)
    await setLimit(one, `${turn}2`)
    await redis.start()
    expect(await missed.answer).toMatchObject({ limits: String(dollars(`${turn}2`)) })
    await connected(one, other)
    const { answer } = await waitAt(other, member)
    await setLimit(one, `${turn}3`)
    expect(await answer).toMatchObject({ limits: String(dollars(`${turn}3`)) })
    if (turn === 1) await redis.kill()
  }
  for (const { notices } of [one, other]) expect(notices).toEqual([lost, back, lost, back])
})

test('changes that a panel could not publish are published when it reaches Redis again', async () => {
  const redis = await openRedis()
  await redis.start()
  const database = await cluster.newDatabase()
  const link = await openLink([redis.port])
  onTestFinished(() => link.close())
  const one = await openPanel({ database, redis: link.url.replace('http:', 'redis:') })
  const other = await openPanel({ database, redis: redis.url })
  await connected(one, other)
  const member = await joined(one)
  const { answer, isAnswered } = await waitAt(other, member)
  link.cut()
  await expect.poll(one.health).toBe('200 200 unreachable')
  await setLimit(one, '5')
  expect(isAnswered()).toBe(false)
  link.mend()
  expect(await answer).toMatchObject({ limits: String(dollars('5')) })
  expect(other.notices).toEqual([])
})

test('a Redis that accepts connections but does not answer delays no request, and is replaced by a new connection', async () => {
  const redis = await openRedis()
  await redis.start()
  const database = await cluster.newDatabase()
  const one = await openPanel({ database, redis: redis.url })
  await connected(one)
  const member = await joined(one)
  redis.freeze()
  await setLimit(one, '5')
  expect((await one.panel.control.next(member, undefined, NEVER)).limits).toBe(String(dollars('5')))
  await expect.poll(one.health, { timeout: 10_000 }).toBe('200 200 unreachable')
  redis.thaw()
  await connected(one)
  expect(one.notices).toMatchObject([expect.stringContaining('no answer within 2 s'), expect.stringContaining('again')])
})

test('a wrong password and an unknown certificate are named, and no password ever is', async () => {
  const redis = await openRedis({ password: PASSWORD })
  await redis.start()
  const to = (password: string) => redis.url.replace('://', `://:${encodeURIComponent(password)}@`)
  const database = await cluster.newDatabase()
  const wrong = await openPanel({ database, redis: to('wrong-horse') })
  await expect.poll(() => wrong.notices.length).toBe(1)
  expect(wrong.notices[0]).toContain(`${redis.url} cannot be used: WRONGPASS`)
  expect(await wrong.health()).toBe('200 200 unreachable')
  expect(await problemOfRedis(to(PASSWORD))).toBeUndefined()
  expect(await problemOfRedis(redis.url)).toMatch(/^NOAUTH/)

  const place = openPlace()
  const doctor = (url: string, ...flags: string[]) =>
    place.type(['panel', 'doctor', '--database', database, ...flags], { env: { IRON_CAGE_REDIS: url } })
  expect((await doctor(to(PASSWORD))).out).toMatch(`\nok: ${redis.url} answers\n`)
  const { out, err, code } = await doctor(to('wrong-horse'))
  expect(out).toMatch(`late: ${redis.url} cannot be used: WRONGPASS`)
  expect(code).toBe(0)
  const asJson = await doctor(to(PASSWORD), '--json')
  expect(JSON.parse(asJson.out)).toMatchObject({ ok: true, problems: [], redis: 'ok' })
  expect([...wrong.notices, out, err, asJson.out].join()).not.toContain('horse')

  const sealed = await openRedis({ tls: true })
  await sealed.start()
  expect(await problemOfRedis(sealed.url)).toMatch(/self-signed certificate/)
  const trusting = { NODE_EXTRA_CA_CERTS: resolve(import.meta.dirname, '../../support/tls/cert.pem') }
  const trusted = await place.run(['panel', 'doctor', '--database', database, '--redis', sealed.url], { env: trusting })
  expect(trusted.out).toContain(`ok: ${sealed.url} answers`)
})

test('the display name of a Redis address contains no password, and a malformed address shows none of its text', () => {
  const text = fc.string({ minLength: 8, maxLength: 30, unit: 'binary' }).map((secret) => `${secret}horse`)
  const address = fc.tuple(fc.constantFrom('redis', 'rediss'), text, fc.boolean())
  fc.assert(
    fc.property(address, ([scheme, secret, isEncoded]) => {
      const given = `${scheme}://:${isEncoded ? encodeURIComponent(secret) : secret}@cache.example.com:6380/1`
      let shown: string
      try {
        shown = redisName(given)
        expect(shown).toBe(`${scheme}://cache.example.com:6380`)
      } catch (error) {
        shown = `${(error as Error).message}${JSON.stringify(error)}`
      }
      expect(shown).not.toContain('horse')
    }),
  )
  for (const wrong of [
    'cache:6379',
    'http://cache',
    'redis://',
    'redis:///var/run/redis.sock',
    'redis://cache/x',
    '',
  ]) {
    expect(() => redisName(wrong)).toThrow('expected an address like')
  }
})

test('a published message that is not an organization id is ignored', async () => {
  const redis = await openRedis()
  await redis.start()
  const { heard, channel, organizationId, database } = await openAnnounced(redis.url)
  const stranger = await openStranger(redis.url)
  const near = fc.constantFrom('', '*', 'org-', 'ORG-0123456789ab', 'org-0123456789abc', 'org-0123456789ag')
  const within = fc
    .tuple(fc.string(), fc.string({ minLength: 1 }))
    .map(([before, after]) => before + organizationId + after)
  const payloads = fc.sample(fc.oneof(near, within, fc.string({ unit: 'binary' }), fc.json()), 3_000)
  await Promise.all(payloads.map((payload) => stranger.publish(channel, payload)))
  await stranger.publish(`${channel}0`, organizationId)
  await stranger.publish(channel, 'x'.repeat(20_000_000))
  await database.announce(organizationId)
  await expect.poll(() => heard).toEqual([organizationId])
})

test('a flood wakes each organization a few times a second, and one of unknown ids everybody as often', async () => {
  const redis = await openRedis()
  await redis.start()
  const { heard, channel, organizationId } = await openAnnounced(redis.url)
  const stranger = await openStranger(redis.url)
  const startedAt = performance.now()
  for (let round = 0; round < 20; round++) {
    await Promise.all(Array.from({ length: 500 }, () => stranger.publish(channel, organizationId)))
  }
  await expect.poll(() => heard.length).toBeGreaterThan(1)
  await Promise.all(newIds(20_000).map((id) => stranger.publish(channel, id)))
  await expect.poll(() => heard).toContain(undefined)
  const ofOne = heard.filter((id) => id === organizationId).length
  expect(ofOne).toBeLessThan(3 + (performance.now() - startedAt) / 200)
  expect(heard.filter((id) => id === undefined).length).toBeLessThan(3 + (performance.now() - startedAt) / 200)
})

test('two fleets with one Redis do not wake each other', async () => {
  const redis = await openRedis()
  await redis.start()
  const [one, other] = [await openAnnounced(redis.url), await openAnnounced(redis.url)]
  await one.database.announce(one.organizationId)
  await other.database.announce(other.organizationId)
  await expect.poll(() => [one.heard, other.heard]).toEqual([[one.organizationId], [other.organizationId]])
})

test('the commands of the page prepare the role for a pooler, and the started panel shows its channel for changes', async () => {
  const redis = await openRedis({ password: PASSWORD })
  await redis.start()
  const page = readFileSync(resolve(import.meta.dirname, '../../../docs/production.md'), 'utf8')
  const [, psql, command] = /<!-- run: redis -->\n```sh\nsudo -u postgres (.+)\niron-cage (.+)\n/.exec(page)!
  const database = await cluster.newDatabase()
  await promisify(exec)(psql!.replaceAll('panel', 'owner'), { env: cluster.environment })
  const typed = command!
    .replace('postgres://panel@localhost/panel', database)
    .replace('redis://localhost', redis.url.replace('://', `://:${encodeURIComponent(PASSWORD)}@`))
    .replace('8090', '0')
  const panel = openPlace().start(typed.split(' '))
  await panel.shows('Next')
  expect(panel.out).toMatch(`Redis     ${redis.url}\n`)
  const [url] = /http:\/\/localhost:\d+/.exec(panel.out)!
  const health = () => openPlace().type(['health'], { env: { IRON_CAGE_URL: url } })
  await expect.poll(async () => (await health()).out).toMatch(/^ok {2}iron-cage \S+ {2}redis ok\n$/)
  expect(panel.out + panel.err).not.toContain('horse')

  // As a session of a pooler: nothing is set in it.
  const session = new pg.Client(database)
  await session.connect()
  onTestFinished(() => session.end())
  const seen = async () => (await session.query('SELECT scope FROM budgets')).rows.length
  expect(await seen()).toBe(1)
  await session.query("BEGIN; SET LOCAL iron_cage.organization = 'org-of-another'")
  expect(await seen()).toBe(0)
})

test('an SQLite file needs no Redis, and a panel with both is refused before it opens the file', async () => {
  const place = openPlace()
  const { code, err } = await place.type(['panel'], { env: { IRON_CAGE_REDIS: 'redis://:horse@127.0.0.1' } })
  expect(code).toBe(2)
  expect(err).toContain('an SQLite file is one process')
  expect(err).not.toContain('horse')
})
