/** One server per database, under any name of the file, and even after its lock file was removed. */
import { execFile } from 'node:child_process'
import { copyFileSync, linkSync, rmSync, symlinkSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { claimDatabase } from '../../src/access/claim.ts'
import { loadConfig, type Setting } from '../../src/config/config.ts'
import { readEnvironment } from '../../src/config/env.ts'
import { openStore } from '../../src/db/store.ts'
import { folderInMemory } from '../support/in-memory.ts'
import { openTestRuntime } from '../support/runtime.ts'

const BIN = resolve(import.meta.dirname, '../../bin/iron-cage.cjs')
const running = { code: 'already_running', message: expect.stringContaining(`process ${process.pid}`) }

function folder(): string {
  const made = folderInMemory()
  onTestFinished(() => rmSync(made, { recursive: true, force: true }))
  return made
}

function open(path: string) {
  const store = openStore({ path })
  onTestFinished(() => store.close())
  return store
}

describe('a database in use by a server', () => {
  test('a database in use by a server refuses a second server when its server file is removed', async () => {
    const cage = await openTestRuntime()
    rmSync(join(cage.folder, 'state.db.server'))
    await expect(openTestRuntime({ folder: cage.folder })).rejects.toMatchObject({ code: 'already_running' })
    expect((await cage.get('/api/health')).status).toBe(200)
  })

  test('a database in use by a server refuses a second server under another name', async () => {
    const cage = await openTestRuntime()
    const other = folder()
    linkSync(join(cage.folder, 'state.db'), join(other, 'state.db'))
    // In a separate process: SQLite sees through the name within one.
    const words = [BIN, 'serve', '--port', '0', '--db', join(other, 'state.db')]
    const second = promisify(execFile)(process.execPath, words, { cwd: other, env: { HOME: other } })
    await expect(second).rejects.toMatchObject({ code: 6, stderr: running.message })
  })

  test('a database in use by a server refuses a second server that cannot see the first one, as in two containers on one volume', async () => {
    const cage = await openTestRuntime()
    rmSync(join(cage.folder, 'state.db.server'))
    const store = open(join(cage.folder, 'state.db'))
    store.meta.put('server', '')
    const words = [BIN, 'serve', '--port', '0', '--db', join(cage.folder, 'state.db')]
    const second = promisify(execFile)(process.execPath, words, { cwd: cage.folder, env: { HOME: cage.folder } })
    await expect(second).rejects.toMatchObject({
      code: 6,
      stderr: expect.stringContaining('perhaps in another container'),
    })
  })

  test('a database in use by a server may be copied, and a server may use the copy', async () => {
    const cage = await openTestRuntime()
    const other = folder()
    for (const end of ['', '.audit-key', '.audit-head', '-wal']) {
      copyFileSync(join(cage.folder, `state.db${end}`), join(other, `state.db${end}`))
    }
    const copy = await openTestRuntime({ folder: other })
    expect((await copy.get('/api/health')).status).toBe(200)
  })

  test('a database in use by a server is free again after its server closes or its process dies', async () => {
    const path = join(folder(), 'state.db')
    const store = open(path)
    const release = await claimDatabase(store)
    await expect(claimDatabase(open(path))).rejects.toMatchObject(running)
    release()
    const again = await claimDatabase(open(path))
    const claim = JSON.parse(store.meta.get('server')!)
    store.meta.put('server', JSON.stringify({ ...claim, pid_started: 'long ago' }))
    await expect(claimDatabase(open(path))).resolves.toBeTypeOf('function')
    again()
  })
})

test('a link to a database is the linked database, with the files beside it', () => {
  const [real, linked] = [folder(), folder()]
  open(join(real, 'state.db'))
  symlinkSync(join(real, 'state.db'), join(linked, 'state.db'))
  const load = (db: string) => {
    const flags: Setting[] = [{ key: ['db', 'path'], value: db, origin: '--db' }]
    return loadConfig({ flags, env: readEnvironment({}), cwd: linked })
  }
  expect(load(join(linked, 'state.db')).config.db.path).toBe(join(real, 'state.db'))
  expect(load(join(linked, 'none.db')).config.db.path).toBe(join(linked, 'none.db'))
})
