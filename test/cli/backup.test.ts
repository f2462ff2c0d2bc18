import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { describe, expect, onTestFinished, test } from 'vitest'
import { backUp, restore } from '../../src/cli/backup.ts'
import { configSchema } from '../../src/config/schema.ts'
import type { RuntimeParts } from '../../src/runtime.ts'
import { openParts } from '../support/built.ts'

const OWNER = { name: 'agent', script: '/agents/agent.py' }

class Site {
  readonly folder = mkdtempSync(join(tmpdir(), 'iron-cage-backup-'))
  readonly db = join(this.folder, 'iron_state.db')
  readonly copy = join(this.folder, 'copies', 'monday.db')

  constructor() {
    onTestFinished(() => rm(this.folder, { recursive: true, force: true }))
  }

  async open(): Promise<RuntimeParts> {
    const config = configSchema.parse({
      db: { path: this.db },
      server: { port: 0 },
      log: { dir: join(this.folder, 'logs') },
    })
    const runtime = await openParts({ config, configFile: null, environment: {}, version: 'test' })
    onTestFinished(() => runtime.close('the test is over'))
    return runtime
  }

  /** A server that kept a checkpoint and ended. */
  async serve(checkpoint: string): Promise<void> {
    const runtime = await this.open()
    runtime.checkpoints.put(OWNER, checkpoint, '2026-01-01T00:00:00.000Z')
    await runtime.close('enough')
  }

  async checkpoint(): Promise<string> {
    const runtime = await this.open()
    const found = runtime.checkpoints.get(OWNER)
    await runtime.close('enough')
    return String(found?.data)
  }
}

describe('a backup', () => {
  test('a backup made while the server runs is whole, verified, for this user only, and one file with its keys', async () => {
    const site = new Site()
    const runtime = await site.open()
    runtime.checkpoints.put(OWNER, 'lead 40', '2026-01-01T00:00:00.000Z')
    const made = await backUp(site.db, site.copy)
    expect(made).toMatchObject({ file: site.copy, audit_rows: expect.any(Number) })
    expect(made.with).toEqual(['audit-key', 'audit-head', 'data-key'].map((name) => `${site.copy}.${name}`))
    expect(readdirSync(join(site.folder, 'copies')).sort()).toEqual([
      'monday.db',
      'monday.db.audit-head',
      'monday.db.audit-key',
      'monday.db.data-key',
    ])
    for (const file of [made.file, ...made.with]) expect(statSync(file).mode & 0o777).toBe(0o600)
  })

  test('a restore brings back the backed-up state with its sealed values, and keeps the files it replaces', async () => {
    const site = new Site()
    await site.serve('lead 40')
    await backUp(site.db, site.copy)
    await site.serve('lead 80')
    const { kept } = await restore(site.copy, site.db)
    expect(await site.checkpoint()).toBe('lead 40')
    expect(kept).toHaveLength(4)
    for (const file of kept) expect(existsSync(file)).toBe(true)
    await restore(kept[0]!, site.db)
    expect(await site.checkpoint()).toBe('lead 80')
  })

  test('a backup is restored where nothing was, and the audit continues from its end', async () => {
    const site = new Site()
    await site.serve('lead 40')
    const { audit_rows } = await backUp(site.db, site.copy)
    const other = new Site()
    expect(await restore(site.copy, other.db)).toEqual({ file: other.db, audit_rows, kept: [] })
    expect(await other.checkpoint()).toBe('lead 40')
    expect((await backUp(other.db, other.copy)).audit_rows).toBeGreaterThan(audit_rows)
  })

  test('a backup is refused over a file that is there, and of a database that is not', async () => {
    const site = new Site()
    await expect(backUp(site.db, site.copy)).rejects.toMatchObject({ code: 'not_found' })
    await site.serve('lead 40')
    await backUp(site.db, site.copy)
    const before = readFileSync(site.copy)
    await expect(backUp(site.db, site.copy)).rejects.toMatchObject({ code: 'conflict' })
    expect(readFileSync(site.copy).equals(before)).toBe(true)
  })

  test('a backup of an audit that was changed is refused and leaves nothing behind', async () => {
    const site = new Site()
    await site.serve('lead 40')
    const client = new Sqlite(site.db)
    client.exec("DROP TRIGGER audit_is_never_updated; UPDATE audit SET actor = 'nobody' WHERE seq = 1")
    client.close()
    await expect(backUp(site.db, site.copy)).rejects.toMatchObject({ code: 'audit_broken' })
    expect(readdirSync(join(site.folder, 'copies'))).toEqual([])
  })

  test('a backup refuses a database with a foreign journal, and a restore applies no journal beside the copy', async () => {
    const site = new Site()
    await site.serve('lead 40')
    writeFileSync(`${site.db}-journal`, 'x')
    await expect(backUp(site.db, site.copy)).rejects.toMatchObject({
      code: 'database_unusable',
      facts: { path: `${site.db}-journal` },
    })
    rmSync(`${site.db}-journal`)
    const planted = ['.part-journal', '.part-wal'].map((suffix) => `${site.copy}${suffix}`)
    for (const path of planted) writeFileSync(path, 'x')
    await backUp(site.db, site.copy)
    for (const path of planted) expect(readFileSync(path, 'utf8')).toBe('x')
    for (const path of planted) rmSync(path)
    await restore(site.copy, site.db)
    expect(await site.checkpoint()).toBe('lead 40')
  })

  test('a backup is not restored while a server runs', async () => {
    const site = new Site()
    const runtime = await site.open()
    await backUp(site.db, site.copy)
    await expect(restore(site.copy, site.db)).rejects.toMatchObject({ code: 'already_running' })
    expect(runtime.state.read().server).not.toBeNull()
  })

  test.each([
    [
      'is damaged',
      (copy: string) => writeFileSync(copy, readFileSync(copy).fill(7, 4096, 12_288)),
      'database_unusable',
    ],
    [
      'is no database',
      (copy: string) => writeFileSync(copy, 'not a database, but long enough to be read as one'),
      'database_unusable',
    ],
    ['lost its key', (copy: string) => rmSync(`${copy}.audit-key`), 'audit_broken'],
  ])('a backup that %s is not restored, and the present files stay', async (_what, damage, code) => {
    const site = new Site()
    await site.serve('lead 40')
    await backUp(site.db, site.copy)
    damage(site.copy)
    await expect(restore(site.copy, site.db)).rejects.toMatchObject({ code })
    expect(await site.checkpoint()).toBe('lead 40')
    expect(readdirSync(site.folder).filter((name) => /restoring|replaced|server/.test(name))).toEqual([])
  })
})
