import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readWitness } from '../../src/audit/anchor.ts'
import { Audit } from '../../src/audit/chain.ts'
import { auditHash } from '../../src/audit/hash.ts'
import { type Verdict, verifyChain } from '../../src/audit/verify.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import { auditHeadPath, auditKeyPath } from '../../src/db/files.ts'
import { openStore } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'
import { TestClock } from '../support/clock.ts'
import { until } from '../support/runtime.ts'

const TRIGGERS = ['audit_is_never_updated', 'audit_is_never_deleted', 'audit_is_appended_only']

function temporaryFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-audit-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'state.db')
}

interface Open {
  audit: Audit
  state: StateManager
  broken: string[]
  client: Sqlite.Database
  close(): void
}

function open(path: string, clock: Clock = systemClock): Open {
  const store = openStore({ path })
  const onFault = (error: unknown) => {
    throw error
  }
  const state = new StateManager({ store, clock, retentionDays: 7, onFault })
  const broken: string[] = []
  const audit = new Audit({ store, state, clock, onFault, onBroken: (problem) => broken.push(problem) })
  let isOpen = true
  const close = () => {
    if (!isOpen) return
    isOpen = false
    void audit.close()
    state.close()
    store.close()
  }
  onTestFinished(async () => {
    // A head that is on its way to the disk is written to its end, with the database open.
    if (isOpen) await audit.close()
    close()
  })
  return { audit, state, broken, client: store.orm.$client, close }
}

const stop = (number: number) =>
  ({ role: 'admin', actor: 'operator', action: 'agent.stop', target: `w-${number}`, details: { number } }) as const

/** A closed database with so many rows. */
function written(rows: number): string {
  const path = temporaryFile()
  const { audit, close } = open(path)
  for (let number = 1; number <= rows; number++) audit.append(stop(number))
  close()
  return path
}

/** As an intruder would: the triggers are put out of the way and back in their place. */
function tamper(path: string, change: (client: Sqlite.Database) => void): void {
  const client = new Sqlite(path)
  const triggers = client
    .prepare("SELECT sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'audit'")
    .pluck()
    .all() as string[]
  for (const name of TRIGGERS) client.exec(`DROP TRIGGER ${name}`)
  change(client)
  for (const sql of triggers) client.exec(sql)
  client.close()
}

async function verify(path: string): Promise<Verdict> {
  const store = openStore({ path })
  try {
    return await verifyChain(store.audit, readWitness(path))
  } finally {
    store.close()
  }
}

const sql = (statement: string) => (client: Sqlite.Database) => client.exec(statement)

describe('the audit chain', () => {
  test('an audit chain without tampering is valid, as a whole and at its end', async () => {
    const path = written(20)
    expect(await verify(path)).toMatchObject({ ok: true, rows: 20 })
    expect(open(path).audit.atStart).toMatchObject({ ok: true, rows: 20 })
  })

  test('an audit chain without a row is valid', async () => {
    expect(await verify(written(0))).toMatchObject({ ok: true, rows: 0 })
  })

  test.each<[what: string, change: (client: Sqlite.Database) => void, row: number | null, problem: RegExp]>([
    ['an edited actor', sql("UPDATE audit SET actor = 'nobody' WHERE seq = 7"), 7, /not as it was written/],
    ['an edited time', sql("UPDATE audit SET at = '2020-01-01T00:00:00.000Z' WHERE seq = 7"), 7, /not as it was/],
    ['edited details', sql("UPDATE audit SET details = '{}' WHERE seq = 1"), 1, /not as it was written/],
    ['a target that is null now', sql('UPDATE audit SET target = NULL WHERE seq = 20'), 20, /not as it was written/],
    [
      'a character moved to the next field',
      sql("UPDATE audit SET actor = 'operato', action = 'ragent.stop' WHERE seq = 4"),
      4,
      /not as/,
    ],
    ['an edited hash', sql('UPDATE audit SET hash = zeroblob(32) WHERE seq = 7'), 7, /not as it was written/],
    [
      'a shortened previous hash',
      sql('UPDATE audit SET previous = substr(previous, 1, 31) WHERE seq = 7'),
      7,
      /not as/,
    ],
    ['a deleted row', sql('DELETE FROM audit WHERE seq = 7'), 7, /row 7 is missing/],
    ['a deleted stretch', sql('DELETE FROM audit WHERE seq BETWEEN 7 AND 9'), 7, /rows 7 to 9 are missing/],
    [
      'a deleted row whose followers moved up',
      sql('DELETE FROM audit WHERE seq = 7; UPDATE audit SET seq = seq - 1 WHERE seq > 7'),
      7,
      /not as/,
    ],
    ['the first row deleted', sql('DELETE FROM audit WHERE seq = 1'), 1, /row 1 is missing/],
    [
      'two rows that changed places',
      sql(
        'UPDATE audit SET seq = -1 WHERE seq = 7; UPDATE audit SET seq = 7 WHERE seq = 8; UPDATE audit SET seq = 8 WHERE seq = -1',
      ),
      7,
      /not as/,
    ],
    [
      'a duplicated row at the end',
      sql(
        'INSERT INTO audit SELECT 21, at, role, actor, action, target, details, previous, hash FROM audit WHERE seq = 7',
      ),
      21,
      /not as/,
    ],
    [
      'a duplicated row before all',
      sql(
        'INSERT INTO audit SELECT -3, at, role, actor, action, target, details, previous, hash FROM audit WHERE seq = 7',
      ),
      -3,
      /stands before/,
    ],
    [
      'a row made up at the end',
      sql(
        'INSERT INTO audit SELECT 21, at, role, actor, action, target, details, hash, randomblob(32) FROM audit WHERE seq = 20',
      ),
      21,
      /not as/,
    ],
    ['a deleted tail', sql('DELETE FROM audit WHERE seq > 15'), 16, /rows 16 to 20 are missing: the end was cut off/],
    ['the last row deleted', sql('DELETE FROM audit WHERE seq = 20'), 20, /row 20 is missing: the end was cut off/],
    ['an emptied table', sql('DELETE FROM audit'), 1, /rows 1 to 20 are missing: the table was emptied/],
  ])('the audit chain shows %s', async (_what, change, row, problem) => {
    const path = written(20)
    tamper(path, change)
    expect(await verify(path)).toMatchObject({ ok: false, row, problem: expect.stringMatching(problem) })
    // The start looks at the same rows here.
    expect(open(path).audit.atStart).toMatchObject({ ok: false, row })
  })

  test('the audit chain shows removed triggers', async () => {
    const path = written(3)
    const client = new Sqlite(path)
    client.exec('DROP TRIGGER audit_is_never_updated')
    client.close()
    expect(await verify(path)).toMatchObject({
      ok: false,
      row: null,
      problem: expect.stringContaining('never_updated'),
    })
  })

  test.each([
    [
      'replaced by one of the same name that does nothing',
      `DROP TRIGGER audit_is_never_deleted;
       CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit BEGIN SELECT 1; END;`,
      'audit_is_never_deleted',
    ],
    [
      'added that drops new rows',
      'CREATE TRIGGER more BEFORE INSERT ON audit BEGIN SELECT RAISE(IGNORE); END;',
      'more',
    ],
  ])('the audit chain shows a trigger %s', async (_what, sql, name) => {
    const path = written(3)
    const client = new Sqlite(path)
    client.exec(sql)
    client.close()
    expect(await verify(path)).toMatchObject({ ok: false, row: null, problem: expect.stringContaining(`: ${name}`) })
  })

  test('an audit chain emptied together with both its files is not taken for a new one', async () => {
    const path = written(20)
    tamper(path, (client) => client.exec('DELETE FROM audit'))
    rmSync(auditKeyPath(path))
    rmSync(auditHeadPath(path))
    expect(() => open(path)).toThrow(expect.objectContaining({ code: 'audit_broken' }))
    await expect(verify(path)).rejects.toMatchObject({ code: 'audit_broken' })
    // The start that failed has made no new ones.
    expect(() => open(path)).toThrow(expect.objectContaining({ code: 'audit_broken' }))
  })

  test('an audit chain whose table was dropped is reported as dropped, and so is another table', async () => {
    const path = written(3)
    const drop = (table: string) => {
      const client = new Sqlite(path)
      client.exec(`DROP TABLE ${table}`)
      client.close()
    }
    drop('alerts')
    const unusable = { code: 'database_unusable', message: expect.stringContaining('the table alerts is missing') }
    expect(() => open(path)).toThrow(expect.objectContaining(unusable))
    drop('audit')
    expect(() => open(path)).toThrow(
      expect.objectContaining({ code: 'audit_broken', message: expect.stringMatching(/^the tables .*audit/) }),
    )
    await expect(verify(path)).rejects.toMatchObject({ code: 'audit_broken' })
  })

  test('the audit chain shows an older copy of the file', async () => {
    const path = written(10)
    copyFileSync(path, `${path}.old`)
    const { audit, close } = open(path)
    for (let number = 11; number <= 15; number++) audit.append(stop(number))
    close()
    rmSync(`${path}-wal`, { force: true })
    rmSync(`${path}-shm`, { force: true })
    copyFileSync(`${path}.old`, path)
    const verdict = { ok: false, row: 11, problem: expect.stringContaining('older copy of the file') }
    expect(await verify(path)).toMatchObject(verdict)

    // It goes on, and new rows do not hide the missing ones: the recorded head stays.
    const later = open(path)
    expect(later.audit.atStart).toMatchObject(verdict)
    for (let number = 0; number < 10; number++) later.audit.append(stop(number))
    later.close()
    expect(await verify(path)).toMatchObject({ ok: false, row: 15, problem: expect.stringContaining('another') })
  })

  test('the audit chain shows rows that disappear while the server runs', async () => {
    const path = written(10)
    const { audit, broken, client, close } = open(path)
    client.exec('DROP TRIGGER audit_is_never_deleted')
    client.exec('DELETE FROM audit WHERE seq > 8')
    audit.append(stop(11))
    audit.append(stop(12))
    await until(() => broken.length > 0, 'it is reported')
    expect(broken).toEqual(['rows 9 to 10 have disappeared'])
    close()
    expect(await verify(path)).toMatchObject({ ok: false, row: 10 })
  })

  test.each([
    ['a head file that is gone', (path: string) => rmSync(auditHeadPath(path))],
    ['a foreign head file', (path: string) => copyFileSync(auditHeadPath(written(20)), auditHeadPath(path))],
    [
      'a head file that was edited',
      (path: string) =>
        writeFileSync(auditHeadPath(path), readFileSync(auditHeadPath(path), 'utf8').replace('20', '10')),
    ],
  ])('the audit chain shows %s', async (_what, change) => {
    const path = written(20)
    change(path)
    expect(await verify(path)).toMatchObject({ ok: false, row: null, problem: expect.stringContaining('head file') })
  })

  test('an audit chain written with another key is shown from its first row on', async () => {
    const path = written(20)
    copyFileSync(auditKeyPath(written(0)), auditKeyPath(path))
    expect(await verify(path)).toMatchObject({ ok: false, row: 1 })
  })

  test('an audit chain without its key is not started again', () => {
    const path = written(3)
    rmSync(auditKeyPath(path))
    expect(() => open(path)).toThrow(expect.objectContaining({ code: 'audit_broken' }))
  })

  test('the audit chain is guarded by the database itself', () => {
    const { audit, client } = open(temporaryFile())
    audit.append(stop(1))
    for (const statement of [
      "UPDATE audit SET actor = 'x'",
      'DELETE FROM audit',
      'INSERT INTO audit SELECT 7, at, role, actor, action, target, details, previous, hash FROM audit',
      "REPLACE INTO audit SELECT seq, at, role, 'x', action, target, details, previous, hash FROM audit",
    ]) {
      expect(() => client.exec(statement), statement).toThrow(/audit rows are/)
    }
  })

  test('the audit chain has key and head in files for this user only', () => {
    const path = written(1)
    for (const file of [auditKeyPath(path), auditHeadPath(path)]) expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('the audit chain writes its head to the file within a second or so, once for many rows', async () => {
    const path = temporaryFile()
    const { audit } = open(path)
    for (let number = 1; number <= 500; number++) audit.append(stop(number))
    const writtenSeq = () => JSON.parse(readFileSync(auditHeadPath(path), 'utf8')).seq as number
    expect(writtenSeq()).toBe(0)
    await until(() => writtenSeq() === 500, 'the head file has the last row')
  })

  test('the audit chain of a killed server is valid, and its head file may lag, but never lead', async () => {
    const path = written(3)
    const { audit } = open(path)
    for (let number = 4; number <= 8; number++) audit.append(stop(number))
    const killed = join(mkdtempSync(join(tmpdir(), 'iron-cage-audit-')), 'state.db')
    onTestFinished(() => rmSync(dirname(killed), { recursive: true, force: true }))
    for (const end of ['', '-wal', '.audit-key', '.audit-head']) copyFileSync(`${path}${end}`, `${killed}${end}`)
    expect(readWitness(killed).witnessed).toMatchObject({ seq: 3 })
    expect(await verify(killed)).toMatchObject({ ok: true, rows: 8 })
    const next = open(killed)
    expect(next.audit.atStart).toMatchObject({ ok: true, rows: 8 })
  })

  test('an event and its audit row are stored in one transaction, or neither is', () => {
    const { audit, state, client } = open(temporaryFile())
    const failed = {
      type: 'auth.failed',
      level: 'WARN',
      message: 'refused',
      data: { reason: 'why', route: 'GET /' },
    } as const
    state.record(failed)
    expect(audit.find({ limit: 10 })).toMatchObject([{ seq: 1, role: 'nobody', action: 'auth.failed' }])
    client.exec("CREATE TEMP TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END")
    expect(() => state.record(failed)).toThrow('full')
    expect(state.read().seq).toBe(1)
    expect(state.findEvents({ limit: 10 })).toHaveLength(1)
  })

  test('the audit chain verifies only its last rows when it starts, also one whose head was written long ago', async () => {
    const path = temporaryFile()
    const first = open(path)
    for (let number = 1; number <= 1_100; number++) first.audit.append(stop(number))
    first.close()
    tamper(path, sql("UPDATE audit SET actor = 'x' WHERE seq = 10"))
    expect(open(path).audit.atStart).toMatchObject({ ok: true })
    expect(await verify(path)).toMatchObject({ ok: false, row: 10 })
  })
})

/** To write a row takes the same hash and an insert: verifying that costs more than this does more than read and hash. */
const MAX_TIMES_WRITING = 1.5

test('fifty thousand rows are verified in at most one and a half times the processor time of writing them', async () => {
  const path = written(0)
  const { key } = readWitness(path)
  const store = openStore({ path })
  onTestFinished(() => store.close())
  const table = store.audit
  let previous: Buffer = Buffer.alloc(32)
  // Time of the processor: other load of the machine does not count.
  let before = process.cpuUsage()
  const used = () => {
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1e6
  }
  store.transaction(() => {
    for (let seq = 1; seq <= 50_000; seq++) {
      const row = { seq, at: '2026-01-01T00:00:00.000Z', previous, ...stop(seq), details: `{"number":${seq}}` }
      previous = auditHash(key, row)
      table.insert({ ...row, hash: previous })
    }
  })
  const writing = used()
  before = process.cpuUsage()
  expect(await verifyChain(table, readWitness(path))).toMatchObject({ ok: true, rows: 50_000 })
  const verifying = used()
  const share = verifying / writing
  process.stdout.write(
    `audit verify: ${Math.round(50_000 / verifying)} rows a second, ${share.toFixed(2)} of writing\n`,
  )
  expect(share).toBeLessThan(MAX_TIMES_WRITING)
})

test('the head stays the same file, which was hidden from agents at their start, and has one length', async () => {
  const clock = new TestClock()
  const path = temporaryFile()
  const { audit, close } = open(path, clock)
  const [before, witnessed] = [statSync(auditHeadPath(path)), () => readWitness(path).witnessed?.seq]
  for (const number of [1, 2]) {
    audit.append(stop(number))
    clock.advance(1_000)
    await expect.poll(witnessed).toBe(number)
  }
  await audit.close()
  close()
  const { ino, size } = statSync(auditHeadPath(path))
  expect({ ino, size }).toEqual({ ino: before.ino, size: before.size })
})

test('a server that closes while the head is being written leaves the last head and nothing else', async () => {
  const clock = new TestClock()
  const path = temporaryFile()
  const { audit, close } = open(path, clock)
  audit.append(stop(1))
  // The head's time has come: its file is on the way to the disk from here on.
  clock.advance(1_000)
  audit.append(stop(2))
  const closed = audit.close()
  const writtenSeq = () => JSON.parse(readFileSync(auditHeadPath(path), 'utf8')).seq as number
  expect(writtenSeq()).toBeLessThan(2)
  await closed
  close()
  expect(writtenSeq()).toBe(2)
  expect(readdirSync(dirname(path)).filter((name) => name.includes('head'))).toEqual(['state.db.audit-head'])
})
