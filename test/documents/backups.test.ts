/** docs/production.md for an admin who restores a panel: its own commands, and machines that have spent meanwhile. */
import { execFile } from 'node:child_process'
import { appendFileSync, chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import type { FleetView } from '../../src/panel/fleet-view.ts'
import { createPanelDatabase, openPlace, type Place, type Run } from '../cli/support.ts'
import { joinMachine, type Machine, openMachine } from '../panel/machine.ts'
import { type Cluster, startCluster } from '../panel/postgres.ts'
import { freePort } from '../support/free-port.ts'
import { dollars } from '../support/money.ts'
import { temporaryFile } from '../support/temporary-file.ts'
import { commandsOf, productionPage, superuserCommand, wordsOf } from './quoted.ts'

const run = promisify(execFile)
const CALL = '0.05'
const LIMIT = 2

let cluster: Cluster
beforeAll(async () => {
  cluster = await startCluster()
})
afterAll(() => cluster?.remove())

/** A folder that PostgreSQL writes to, in the place of /backups. */
function openBackups(): { folder: string; here: (command: string) => string } {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-backups-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'log'))
  for (const each of [folder, join(folder, 'log')]) chmodSync(each, 0o777)
  return { folder, here: (command) => command.replaceAll('/backups', folder) }
}

async function asSuperuser(command: string): Promise<void> {
  await run(...superuserCommand(command), { env: cluster.environment })
}

/** A panel as it is typed, two machines that share $2, and a person who looks. */
async function openFleet(place: Place, command: string, env: Record<string, string>) {
  const port = String(await freePort())
  const url = `http://localhost:${port}`
  const words = (typed: string) => wordsOf(typed.replace('8090', port)).slice(1)
  let panel: Run
  const startPanel = async (typed: string, environment = env) => {
    panel = place.start(words(typed), { env: environment })
    await panel.shows('Control Panel')
  }
  const at = words(command).indexOf('--database')
  const database = at < 0 ? [] : words(command).slice(at, at + 2)
  const made = await place.run(['panel', 'token', '--role', 'admin', ...database], { env })
  const ask = async <Answer>(method: string, path: string, body?: object): Promise<Answer> => {
    const headers = { authorization: `Bearer ${made.out.trim()}`, 'content-type': 'application/json' }
    const answer = await fetch(url + path, { method, headers, body: body ? JSON.stringify(body) : null })
    if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
    return (await answer.json()) as Answer
  }
  await startPanel(command)
  await ask('PATCH', '/api/fleet/budgets/organization', { limit_usd: String(LIMIT) })
  const paths = await Promise.all(
    [1, 2].map(async () => {
      const path = temporaryFile()
      await joinMachine(path, url, (await ask<{ token: string }>('POST', '/api/fleet/invitations', {})).token)
      return path
    }),
  )
  const opened = (path: string) => {
    const machine = openMachine(path)
    onTestFinished(() => machine.close().catch(() => undefined))
    return machine
  }
  let calls = 0
  const call = (machine: Machine): Promise<string> =>
    machine
      .call(CALL, async () => {
        calls += 1
        return dollars(CALL)
      })
      .then(
        () => 'paid',
        ({ code }) => code as string,
      )
  return {
    ...{ startPanel, opened, paths, call },
    calls: () => calls,
    look: () => ask<FleetView>('GET', '/api/fleet'),
    stopPanel: async () => {
      panel.child.kill('SIGTERM')
      expect((await panel.ended).code).toBe(0)
    },
  }
}

interface Restoring {
  place: Place
  /** Starts the panel. */
  command: string
  env: Record<string, string>
  backUp(panel: { stop(): Promise<void>; start(): Promise<void> }): Promise<void>
  /** After changes that no backup has. */
  beforeTheEnd?(): Promise<void>
  /** Returns the command that starts a panel on the restored data. */
  restore(): Promise<{ command: string; env: Record<string, string> }>
}

/** Restores a backup while machines have spent more than it knows, and spends everything that is left. */
async function expectNothingOverspent({ place, command, env, backUp, beforeTheEnd, restore }: Restoring) {
  const fleet = await openFleet(place, command, env)
  const { opened, paths, call, look, startPanel, stopPanel } = fleet
  const [one, other] = [opened(paths[0]!), opened(paths[1]!)]
  expect([await call(one), await call(other)]).toEqual(['paid', 'paid'])
  const settled = async () => Number((await look()).budgets[0]!.settled_usd)
  await expect.poll(settled).toBeCloseTo(0.1)
  await backUp({ stop: stopPanel, start: () => startPanel(command) })
  for (let n = 0; n < 8; n++) expect(await call(one)).toBe('paid')
  expect(await call(other)).toBe('paid')
  // The backup does not know of the amount returned here.
  await other.close()
  await expect.poll(settled).toBeCloseTo(0.55)
  await beforeTheEnd?.()
  await stopPanel()

  const restored = await restore()
  await startPanel(restored.command, restored.env)
  expect((await look()).reconciling_until).not.toBeNull()
  // It spends its own lease, and gets no more before the other one has reported.
  await expect.poll(() => call(one)).toBe('budget_held')
  expect((await look()).reconciling_until).not.toBeNull()
  const again = opened(paths[1]!)
  await expect.poll(async () => (await look()).reconciling_until).toBeNull()
  await Promise.all(
    [one, again].map(async (machine) => {
      while ((await call(machine)) !== 'budget_exceeded');
    }),
  )
  expect(fleet.calls() * Number(CALL)).toBeCloseTo(LIMIT)
  await Promise.all([one.close(), again.close()])
  expect((await look()).budgets[0]).toMatchObject({ settled_usd: String(LIMIT), lent_usd: '0' })
  return stopPanel
}

/** The role and database of the page, and the command that starts a panel on them. */
async function createDatabase(): Promise<string> {
  const [createRole, createPanel, , start] = commandsOf('postgres')
  await run('dropdb', ['--if-exists', 'panel'], { env: cluster.environment })
  await asSuperuser(createRole!).catch(() => undefined)
  await asSuperuser(createPanel!)
  return start!
}

test('a restored dump lends no money until all machines have reported, then lends the rest, and the books agree', async () => {
  const { here } = openBackups()
  const place = openPlace()
  const command = await createDatabase()
  const env = { PGPORT: cluster.environment.PGPORT! }
  const [create, fill, start, doctor] = commandsOf('restore')
  const stopPanel = await expectNothingOverspent({
    ...{ place, command, env },
    backUp: () => asSuperuser(here(commandsOf('dump')[0]!)),
    restore: async () => {
      for (const typed of [create!, fill!]) await asSuperuser(here(typed))
      return { command: start!, env }
    },
  })
  expect(await place.run(wordsOf(doctor!).slice(1), { env })).toMatchObject({ code: 0, err: '' })
  await stopPanel()
})

test('a base backup restored to a later moment lends only after all machines have reported', async () => {
  const { folder, here } = openBackups()
  const command = await createDatabase()
  const [archive] = commandsOf('archive')
  await asSuperuser(here(archive!))
  await cluster.crash()
  await cluster.start()
  const client = new pg.Client(`postgres://postgres@127.0.0.1:${cluster.environment.PGPORT}/postgres`)
  await client.connect()
  const textOf = async (query: string) =>
    (await client.query<{ text: string }>(`SELECT (${query})::text AS text`)).rows[0]!.text
  let target = ''
  const stopPanel = await expectNothingOverspent({
    ...{ place: openPlace(), command, env: { PGPORT: cluster.environment.PGPORT! } },
    backUp: async () => {
      await asSuperuser(here(commandsOf('base')[0]!))
      target = await textOf('clock_timestamp()')
    },
    beforeTheEnd: async () => {
      const log = await textOf('pg_walfile_name(pg_switch_wal())')
      await expect.poll(() => textOf('SELECT last_archived_wal FROM pg_stat_archiver')).toBe(log)
    },
    restore: async () => {
      await client.end()
      await cluster.crash()
      const files = join(folder, 'base')
      writeFileSync(join(files, 'recovery.signal'), '')
      const [, settings] = /`postgresql.auto.conf`:\n\n```\n([^`]+)```/.exec(productionPage())!
      appendFileSync(join(files, 'postgresql.auto.conf'), here(settings!).replace(/'2026-[^']+'/, `'${target}'`))
      const port = await cluster.startOn(files)
      const restored = new pg.Client(`postgres://postgres@127.0.0.1:${port}/postgres`)
      await restored.connect()
      const isReading = async () =>
        (await restored.query<{ is: boolean }>('SELECT pg_is_in_recovery() AS is')).rows[0]!.is
      await expect.poll(isReading).toBe(false)
      await restored.end()
      return { command, env: { PGPORT: String(port) } }
    },
  })
  await stopPanel()
})

test('a copy of the SQLite file moved into its place lends only after all machines have reported', async () => {
  const place = openPlace()
  const [command] = commandsOf('panel')
  const [copy, copyBack, move] = commandsOf('file')
  const type = async (typed: string) => {
    const [program, ...args] = wordsOf(typed)
    await run(program!, args, { cwd: place.folder })
  }
  await createPanelDatabase(place)
  const stopPanel = await expectNothingOverspent({
    ...{ place, command: command!, env: {} },
    backUp: async ({ stop, start }) => {
      await stop()
      await type(copy!)
      await start()
    },
    restore: async () => {
      await type(copyBack!)
      await type(move!)
      return { command: command!, env: {} }
    },
  })
  await stopPanel()
})
