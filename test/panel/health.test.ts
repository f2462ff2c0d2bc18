/** The databases that a panel works with, and its readiness for load balancers. */
import { setImmediate } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { OLDEST } from '../../src/panel/db/migrations.ts'
import { openPanelDatabase } from '../../src/panel/db/open.ts'
import { TestClock } from '../support/clock.ts'
import { openTestPanel } from './open-panel.ts'
import { type Cluster, startCluster } from './postgres.ts'

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

/** Changes of a database by its owner. */
async function connect(address: string): Promise<pg.Client> {
  const client = new pg.Client(address)
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

test('a panel is ready while its database has the tables that it knows, or newer ones that it works with', async () => {
  const database = await cluster.newDatabase()
  const { url } = await openTestPanel({ database })
  const client = await connect(database)
  const found = await client.query<{ value: string }>("SELECT value FROM panel_meta WHERE key = 'version'")
  const known = Number(found.rows[0]!.value)
  const readiness = async (version: number, oldest: number) => {
    const set = 'UPDATE panel_meta SET value = $2 WHERE key = $1'
    await client.query(set, ['version', version])
    await client.query(set, ['oldest', oldest])
    const answer = await fetch(`${url}/health/ready`)
    return `${answer.status} ${((await answer.json()) as { status: string }).status}`
  }
  expect(await readiness(known, OLDEST)).toBe('200 ok')
  expect(await readiness(known - 1, OLDEST)).toBe('503 unready')
  expect(await readiness(known + 1, known)).toBe('200 ok')
  expect(await readiness(known + 1, known + 1)).toBe('503 unready')
  expect(await readiness(known, OLDEST)).toBe('200 ok')
  await client.query('DROP TABLE panel_meta')
  expect((await fetch(`${url}/health/ready`)).status).toBe(503)
  // A restart would mend none of it.
  expect((await fetch(`${url}/health/live`)).status).toBe(200)
})

test('a draining panel reports it, still answers, and keeps no connection open', async () => {
  const { url, drain } = await openTestPanel({ database: await cluster.newDatabase() })
  void drain.run()
  const ready = await fetch(`${url}/health/ready`)
  expect([ready.status, await ready.json()]).toEqual([503, { status: 'draining' }])
  for (const path of ['/health/live', '/api/version', '/api/fleet']) {
    expect((await fetch(url + path)).headers.get('connection')).toBe('close')
  }
})

test('a PostgreSQL that is too old is refused before anything is written', async () => {
  const address = await cluster.newDatabase()
  const client = await connect(address)
  // It reports the version of an old one.
  await client.query('CREATE SCHEMA old')
  await client.query(`CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql AS
    $$ SELECT CASE $1 WHEN 'server_version_num' THEN '130021' ELSE '13.21' END $$`)
  await client.query(
    `ALTER ROLE owner IN DATABASE ${new URL(address).pathname.slice(1)} SET search_path = old, pg_catalog`,
  )
  await expect(openPanelDatabase(address)).rejects.toMatchObject({
    code: 'database_unusable',
    message: 'this is PostgreSQL 13.21, and a panel needs 14 or newer',
  })
  expect((await client.query("SELECT 1 FROM pg_tables WHERE schemaname = 'public'")).rows).toEqual([])
})

test('a panel logs the loss of PostgreSQL once, and its return once', async () => {
  const clock = new TestClock()
  const log: string[] = []
  const onFault = (error: unknown, what: string) => void log.push(`${what}: ${error}`)
  const database = await cluster.newDatabase()
  const { fleet } = await openTestPanel({ database, clock, onFault, onNotice: (text) => log.push(text) })
  const expirations = vi.spyOn(fleet, 'expire')
  const passUntil = async (condition: () => boolean) => {
    while (!condition()) {
      await clock.advanceAsync(1_000)
      await setImmediate()
    }
  }
  await passUntil(() => expirations.mock.calls.length > 1)
  expect(log).toEqual([])
  await cluster.crash()
  await passUntil(() => log.length > 0)
  await passUntil(() => expirations.mock.calls.length > 5)
  await Promise.allSettled(expirations.mock.results.map(({ value }) => value))
  await cluster.start()
  await passUntil(() => log.length > 1)
  await passUntil(() => expirations.mock.calls.length > 10)
  expect(log).toEqual([
    expect.stringMatching(
      /^PostgreSQL cannot be used: .+\. Machines go on with what they were lent; nothing more is lent$/,
    ),
    'PostgreSQL can be used again',
  ])
})
