import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { getTableColumns, is, Table } from 'drizzle-orm'
import { getTableConfig, type SQLiteTable } from 'drizzle-orm/sqlite-core'
import { describe, expect, onTestFinished, test } from 'vitest'
import { takeDatabase } from '../../src/access/claim.ts'
import { readServerFile } from '../../src/access/server-file.ts'
import { type CallId, toAgentId, toCallId } from '../../src/core/ids.ts'
import { nanodollars } from '../../src/core/money.ts'
import { openDatabase, readDatabase } from '../../src/db/database.ts'
import { createOwnFile, databaseFiles } from '../../src/db/files.ts'
import { start } from '../../src/db/migrations/0007-start.ts'
import { isStorageFault } from '../../src/db/storage-fault.ts'
import { callTable } from '../../src/db/tables/calls.ts'
import { eventTable } from '../../src/db/tables/events.ts'
import { metaTable } from '../../src/db/tables/meta.ts'
import * as schema from '../../src/db/tables/schema.ts'
import { temporaryFile } from '../support/temporary-file.ts'

function open(path = ':memory:') {
  const database = openDatabase({ path })
  onTestFinished(() => database.close())
  return database
}

const SUFFIXES = databaseFiles('').filter((suffix) => suffix !== '-journal')

describe('a database', () => {
  test('a database is created at its path, for this user only, and opened again', () => {
    const path = temporaryFile('below/state.db')
    const first = openDatabase({ path })
    metaTable(first).put('greeting', 'hello')
    first.close()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const again = open(path)
    expect(metaTable(again).get('greeting')).toBe('hello')
    expect(metaTable(again).get('constructor')).toBeUndefined()
  })

  test('a database with a foreign journal beside it is not opened, because SQLite would apply the journal first', () => {
    const path = temporaryFile()
    openDatabase({ path }).close()
    writeFileSync(`${path}-journal`, 'x')
    for (const use of [() => openDatabase({ path }), () => readDatabase(path)]) {
      expect(use).toThrow(expect.objectContaining({ code: 'database_unusable', facts: { path: `${path}-journal` } }))
    }
    expect(readFileSync(`${path}-journal`, 'utf8')).toBe('x')
  })

  test.each(
    SUFFIXES.flatMap((suffix) => (['a folder', 'a named pipe', 'a device'] as const).map((kind) => [suffix, kind])),
  )('is not opened where "%s" of its files is %s, which would be waited for without end', async (suffix, kind) => {
    const path = temporaryFile()
    const file = path + suffix
    if (kind === 'a folder') mkdirSync(file)
    else if (kind === 'a named pipe') execFileSync('mkfifo', [file])
    else symlinkSync('/dev/zero', file)
    const refused = expect.objectContaining({ code: 'database_unusable', message: expect.stringContaining(kind) })
    for (const use of [() => openDatabase({ path }), () => readDatabase(path)]) expect(use).toThrow(refused)
    await expect(takeDatabase(path, 'token')).rejects.toEqual(refused)
    expect(await readServerFile(path)).toBeUndefined()
  })

  test('a database that cannot have the files beside it names the one that could not be created', () => {
    const path = temporaryFile()
    expect(() => createOwnFile(`${path}.missing/key`, 'x')).toThrow(
      expect.objectContaining({ code: 'database_unusable', facts: { path: `${path}.missing/key` } }),
    )
  })

  test('a database keeps the checkpoint of a name for the script that ran under it when that was saved', () => {
    const path = temporaryFile()
    const old = new Sqlite(path)
    old.exec(start)
    old.pragma('user_version = 7')
    const run = (id: string, script: string, at: string) =>
      `INSERT INTO runs VALUES ('${id}', 'lg-1', 'agent', '${script}', 'production', 0, 1, NULL, '${at}', NULL, NULL, NULL);`
    old.exec(run('run-1', '/a/agent.py', '2026-01-01') + run('run-2', '/b/agent.py', '2026-01-02'))
    old.exec(run('run-3', '/c/agent.py', '2026-01-04'))
    old.exec(
      `INSERT INTO checkpoints VALUES ('agent', 3, 'sealed', '2026-01-03'), ('client', 1, 'sealed', '2026-01-03')`,
    )
    old.close()
    const { orm } = open(path)
    expect(orm.select().from(schema.checkpoints).all()).toMatchObject([
      { agent_name: 'agent', script: '/b/agent.py', version: 3, data: 'sealed' },
      { agent_name: 'client', script: '', version: 1 },
    ])
  })

  test('a migrated database keeps the holds of old calls, and the ledger counts each once', () => {
    const path = temporaryFile()
    const old = new Sqlite(path)
    old.exec(start)
    old.pragma('user_version = 7')
    for (const state of ['held', 'unresolved', 'charged']) {
      old.exec(
        `INSERT INTO calls (agent_id, id, kind, target, model, state, held_nanos, started_at)
         VALUES ('lg-1', 'call-${state}', 'llm', 'openai', 'gpt-4', '${state}', 7, '2026-01-02')`,
      )
    }
    old.close()
    const database = open(path)
    const calls = callTable(database)
    const states = () => database.orm.select().from(schema.ledger).orderBy(schema.ledger.id).all()
    expect(states().map(({ id, state }) => `${id} ${state}`)).toEqual([
      'call-charged charged',
      'call-held held',
      'call-unresolved unresolved',
    ])
    expect(calls.totals({}).held).toBe(14)
    expect(calls.markUnresolved('2026-01-03')).toBe(1)
    expect(calls.get(toAgentId('lg-1'), toCallId('call-held'))).toMatchObject({ state: 'unresolved', target: 'openai' })
    expect([calls.totals({}).held, states().length]).toEqual([14, 3])
  })

  test('a database has the tables and columns that the code reads', () => {
    const { orm } = open()
    const tables = Object.values(schema).filter((table) => is(table, Table)) as SQLiteTable[]
    expect(tables.length).toBeGreaterThan(8)
    for (const table of tables) {
      const { name } = getTableConfig(table)
      const columns = orm.$client.pragma(`table_info(${name})`) as { name: string; notnull: number; pk: number }[]
      const expected = Object.values(getTableColumns(table)).map((column) => column.name)
      expect(columns.map((column) => column.name).sort(), name).toEqual(expected.sort())
    }
    const columnsOf = (name: string) =>
      (orm.$client.pragma(`table_info(${name})`) as { name: string }[]).map((c) => c.name)
    expect(columnsOf('ledger').sort()).toEqual(columnsOf('calls').sort())
  })

  test.each([
    ['is no database', (path: string) => writeFileSync(path, 'This is a letter to my aunt. '.repeat(100))],
    [
      'is damaged',
      (path: string) => {
        const database = openDatabase({ path })
        for (let key = 0; key < 500; key++) metaTable(database).put(`key ${key}`, 'x'.repeat(500))
        database.orm.$client.pragma('wal_checkpoint(TRUNCATE)')
        database.close()
        const bytes = readFileSync(path)
        bytes.fill(0x5a, 8_192, bytes.length - 4_096)
        writeFileSync(path, bytes)
      },
    ],
    [
      'was written by a newer program',
      (path: string) => {
        const database = openDatabase({ path })
        database.orm.$client.pragma('user_version = 999')
        database.close()
      },
    ],
    [
      'was written before version 0.1.0',
      (path: string) => {
        const old = new Sqlite(path)
        old.pragma('journal_mode = WAL')
        old.pragma('user_version = 6')
        old.close()
      },
    ],
    ['is a folder', (path: string) => void rmSync(path, { force: true })],
  ])('a database that %s is refused by name and left alone', (name, spoil) => {
    const file = temporaryFile()
    const path = name === 'is a folder' ? dirname(file) : file
    if (name !== 'is a folder') spoil(path)
    const before = name === 'is a folder' ? undefined : readFileSync(path)
    expect(() => openDatabase({ path })).toThrow(
      expect.objectContaining({ code: 'database_unusable', message: expect.stringContaining(path) }),
    )
    if (before) expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('a database runs a transaction as a whole or not at all', () => {
    const database = open()
    const meta = metaTable(database)
    expect(() =>
      database.transaction(() => {
        meta.put('half', 'done')
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(meta.get('half')).toBeUndefined()
    const seen = database.transaction(() => {
      meta.put('all', 'done')
      return meta.get('all')
    })
    expect([seen, meta.get('all')]).toEqual(['done', 'done'])
  })

  test('a database writes a transaction to the disk that must be there, and no other one', () => {
    const database = open()
    const synchronous = () => database.orm.$client.pragma('synchronous', { simple: true })
    expect(database.transactionOnDisk(synchronous)).toBe(2)
    expect(() =>
      database.transactionOnDisk(() => {
        throw new Error('no')
      }),
    ).toThrow('no')
    expect(database.transaction(synchronous)).toBe(1)
  })

  test('a database locked by another program is soon reported as a temporary fault', () => {
    const path = temporaryFile()
    const database = open(path)
    const other = new Sqlite(path)
    other.exec('BEGIN IMMEDIATE')
    let fault: unknown
    try {
      metaTable(database).put('x', 'y')
    } catch (error) {
      fault = error
    }
    expect(isStorageFault(fault)).toBe(true)
    expect(isStorageFault(new Error('ours'))).toBe(false)
    other.exec('ROLLBACK')
    other.close()
  })
})

describe('the rows of the ledger', () => {
  const held = (id: CallId, nanos = 10) => ({
    id,
    agent_id: toAgentId('lg-1'),
    run_id: null,
    unit: null,
    lease_id: null,
    kind: 'llm' as const,
    target: 'openai',
    model: 'gpt-4',
    held_nanos: nanodollars(nanos),
    started_at: '2026-01-02T03:04:05.000Z',
  })
  const end = (id: CallId, nanos: number) => ({
    id,
    agent_id: toAgentId('lg-1'),
    state: 'charged' as const,
    cost_nanos: nanodollars(nanos),
    estimated: false,
    price: null,
    usage: { input: 1 },
    status: 200,
    code: null,
    ended_at: '2026-01-02T03:04:06.000Z',
  })

  test('a ledger row ends once, and the totals add up its cost', () => {
    const calls = callTable(open())
    calls.insertHeld(held(toCallId('call-1')))
    calls.insertHeld(held(toCallId('call-2')))
    expect(calls.totals({ agentId: toAgentId('lg-1') })).toEqual({ spent: 0, spentBefore: 0, held: 20 })
    expect(calls.end(end(toCallId('call-1'), 7))).toBe(true)
    expect(calls.end(end(toCallId('call-1'), 70))).toBe(false)
    expect(calls.end(end(toCallId('call-9'), 70))).toBe(false)
    expect(calls.totals({ agentId: toAgentId('lg-1') })).toEqual({ spent: 7, spentBefore: 0, held: 10 })
    expect(calls.totals({ agentId: toAgentId('nobody') })).toEqual({ spent: 0, spentBefore: 0, held: 0 })
  })

  test('calls that a killed server left open keep their hold and their reason', async () => {
    const calls = callTable(open())
    calls.insertHeld(held(toCallId('call-1')))
    calls.insertHeld(held(toCallId('call-2')))
    calls.end(end(toCallId('call-1'), 7))
    calls.markUnresolved('2026-01-02T04:00:00.000Z')
    calls.markUnresolved('2026-01-02T05:00:00.000Z')
    expect(calls.totals({ agentId: toAgentId('lg-1') })).toEqual({ spent: 7, spentBefore: 0, held: 10 })
    expect(await calls.find({ agentId: toAgentId('lg-1'), limit: 9 })).toEqual(
      expect.arrayContaining([
        expect.objectContaining({
          id: 'call-2',
          state: 'unresolved',
          code: 'server_ended',
          ended_at: '2026-01-02T04:00:00.000Z',
        }),
      ]),
    )
    // The answer that comes after all changes nothing.
    expect(calls.end(end(toCallId('call-2'), 5))).toBe(false)
  })

  test('the ledger rejects a duplicate call, an unknown kind, and a negative amount', () => {
    const calls = callTable(open())
    calls.insertHeld(held(toCallId('call-1')))
    expect(() => calls.insertHeld(held(toCallId('call-1')))).toThrow(/UNIQUE/)
    expect(() => calls.insertHeld(held(toCallId('call-2'), -1))).toThrow(/CHECK/)
    expect(() => calls.insertHeld({ ...held(toCallId('call-3')), kind: 'gift' as never })).toThrow(/CHECK/)
    expect(() => calls.end(end(toCallId('call-1'), -5))).toThrow(/CHECK/)
  })

  test('the rows of the ledger are summed exactly, however many there are', () => {
    const database = open()
    const calls = callTable(database)
    database.transaction(() => {
      for (let call = 0; call < 10_000; call++) {
        calls.insertHeld(held(toCallId(`call-${call}`), 138))
        calls.end(end(toCallId(`call-${call}`), 138))
      }
    })
    expect(calls.totals({ agentId: toAgentId('lg-1') })).toEqual({ spent: 1_380_000, spentBefore: 0, held: 0 })
  })
})

test('the numbers of events are gapless and unique in the table', () => {
  const events = eventTable(open())
  const event = {
    seq: 1,
    at: '2026-01-02T03:04:05.000Z',
    agent_id: null,
    level: 'INFO',
    type: 'server.stopped',
    message: 'x',
    data: { reason: 'x' },
  } as const
  events.insert(event)
  expect(() => events.insert(event)).toThrow(/UNIQUE/)
  expect(events.find({ limit: 9 })).toEqual([event])
})
