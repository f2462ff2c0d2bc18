/**
 * Machines that fail: a small disk, a folder that cannot be written, another program that locks; and the state that
 * must hold after.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect, onTestFinished } from 'vitest'
import type { TestRuntime } from '../support/runtime.ts'

const isRoot = process.getuid?.() === 0

export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-faults-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A disk of its own of so many megabytes; only root can have one. */
export function newDisk(megabytes: number): string {
  const folder = newFolder()
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', folder])
  onTestFinished(() => execFileSync('umount', ['--lazy', folder]) && undefined)
  return folder
}

/** May this machine mount? */
export const canMount = (() => {
  if (!isRoot) return false
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-mount-'))
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder], { stdio: 'ignore' })
    execFileSync('umount', [folder])
    return true
  } catch {
    return false
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})()

/** Takes all the room there is; returns a function that gives it back. */
export function fillDisk(folder: string): () => void {
  const path = join(folder, 'everything-else')
  const file = openSync(path, 'w')
  for (let size = 1_048_576; size >= 1; ) {
    try {
      writeSync(file, Buffer.alloc(size))
    } catch {
      size = Math.floor(size / 2)
    }
  }
  closeSync(file)
  return () => rmSync(path)
}

/** A folder in which nothing can be written: root may write despite the permissions, but not on such a disk. */
export function newReadOnlyFolder(): string {
  if (!canMount) {
    const folder = newFolder()
    chmodSync(folder, 0o500)
    return folder
  }
  const folder = newDisk(1)
  execFileSync('mount', ['-o', 'remount,ro', folder])
  return folder
}

/** Another program that has the database for itself, until it is asked to let go. */
export async function lockDatabase(path: string): Promise<() => Promise<void>> {
  const program = `
    import sqlite3, sys
    database = sqlite3.connect(sys.argv[1], isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    print("locked", flush=True)
    sys.stdin.read()
    database.execute("ROLLBACK")`
  const other = spawn('python3', ['-c', program.replaceAll('\n    ', '\n'), path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void other.kill('SIGKILL'))
  await once(other.stdout, 'data')
  return async () => {
    other.stdin.end()
    if (other.exitCode === null) await once(other, 'exit')
  }
}

/** The state after every fault: as many rows as calls arrived, nothing held, a sound file, a server that answers. */
export async function expectSound(cage: TestRuntime): Promise<void> {
  expect((await cage.get('/api/health')).status).toBe(200)
  const sent = cage.rows().filter(({ state, status }) => state === 'charged' || (status !== null && status !== 503))
  expect(sent).toHaveLength(cage.provider.requests.length)
  expect(cage.rows().filter(({ state }) => state === 'held')).toEqual([])
  const database = new Sqlite(join(cage.folder, 'state.db'), { readonly: true })
  expect(database.pragma('integrity_check', { simple: true })).toBe('ok')
  database.close()
  const { access_token } = await cage.login()
  expect((await cage.get('/api/audit/verify', access_token)).json()).toMatchObject({ ok: true })
}
