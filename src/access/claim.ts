/**
 * Takes a database for this process, outside with the server file (`server-file.ts`) and a lock of the system, and within.
 */
import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { CageError } from '../core/errors.ts'
import { processStarted } from '../core/process-table.ts'
import { createOwnFile, requireOwnFiles, serverFilePath } from '../db/files.ts'
import { lockDatabase } from '../db/lock.ts'
import { isStorageFault } from '../db/storage-fault.ts'
import type { Store } from '../db/store.ts'
import { readServerFile } from './server-file.ts'

export interface TakenDatabase {
  /** Records where the server listens. */
  publish(url: string): void
  release(): void
}

/**
 * Takes the database for this process. Throws CageError `already_running` naming the server that has it, or
 * `database_unusable` when its folder cannot be written.
 */
export async function takeDatabase(databasePath: string, token: string): Promise<TakenDatabase> {
  const path = serverFilePath(databasePath)
  const started = (await processStarted(process.pid)) ?? ''
  const content = (url: string) => JSON.stringify({ pid: process.pid, pid_started: started, url, token })
  const isOurs = () => readOrNothing(path)?.includes(token) === true
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  const write = (url: string) => createOwnFile(draft, content(url), 'w')
  let unlock: (() => void) | undefined
  requireOwnFiles(databasePath)
  try {
    unlock = lockDatabase(databasePath)
    if (!unlock) throw taken(databasePath, await readServerFile(databasePath))
    write('')
    // link() fails if the file exists, and makes a complete one appear atomically.
    while (!linked(draft, path)) await removeLeftover(databasePath)
  } catch (error) {
    unlock?.()
    if (error instanceof CageError) throw error
    throw new CageError('database_unusable', `cannot use ${databasePath} as a database: ${(error as Error).message}`, {
      facts: { path: databasePath },
      cause: error,
    })
  } finally {
    rmSync(draft, { force: true })
  }
  return {
    publish: (url) => {
      if (!isOurs()) throw taken(databasePath, undefined)
      // Atomic here too: half a file would be taken for a leftover.
      write(url)
      renameSync(draft, path)
    },
    release: () => {
      if (isOurs()) rmSync(path, { force: true })
      unlock()
    },
  }
}

/** Stored in the database: which process serves this file, by device and inode, so that a copy is not locked. */
const CLAIM = 'server'

interface ServerClaim {
  pid: number
  pid_started: string
  file: string
}

/**
 * Locks the database from within, too: the server file can be removed, and a link gives the database another name.
 * Returns a function that unlocks it, to be called before the database is closed. Throws CageError `already_running`.
 */
export async function claimDatabase(store: Store): Promise<() => void> {
  const meta = store.meta
  const { dev, ino } = statSync(store.path, { bigint: true })
  const file = `${dev}:${ino}`
  const held = JSON.parse(meta.get(CLAIM) || 'null') as ServerClaim | null
  if (held?.file === file && (await processStarted(held.pid)) === held.pid_started) {
    throw taken(store.path, { pid: held.pid, url: undefined })
  }
  const started = (await processStarted(process.pid)) ?? ''
  meta.put(CLAIM, JSON.stringify({ pid: process.pid, pid_started: started, file } satisfies ServerClaim))
  // A server that opens the file under another name does not see the write-ahead log.
  store.orm.$client.pragma('wal_checkpoint(PASSIVE)')
  return () => {
    try {
      meta.put(CLAIM, '')
    } catch (error) {
      // A lock of a process that is gone does not count.
      if (!isStorageFault(error)) throw error
    }
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

/** Removes the file only if its server is gone. Throws CageError `already_running`. */
async function removeLeftover(databasePath: string): Promise<void> {
  const path = serverFilePath(databasePath)
  const before = readOrNothing(path)
  if (before === undefined) return
  const owner = await readServerFile(databasePath)
  if (owner) throw taken(databasePath, owner)
  const aside = `${path}.${randomBytes(4).toString('hex')}`
  try {
    renameSync(path, aside)
    // Another server may have removed and replaced it first: that one holds the lock.
    if (readOrNothing(aside) !== before) linked(aside, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

function readOrNothing(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

const taken = (databasePath: string, owner: { pid: number; url: string | undefined } | undefined): CageError =>
  new CageError(
    'already_running',
    owner
      ? `${databasePath} is served by process ${owner.pid} at ${owner.url || 'an address not known yet'}`
      : `${databasePath} is served by another process, perhaps in another container`,
    { facts: { path: databasePath, pid: owner?.pid, url: owner?.url } },
  )
