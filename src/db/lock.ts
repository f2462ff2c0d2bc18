import { existsSync, writeFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { lockPath } from './files.ts'

/**
 * Locks a database for this process until it ends, with a lock of the operating system. Unlike process ids it also holds
 * between containers that share a volume. Returns a function that unlocks; undefined when another process has the lock.
 */
export function lockDatabase(path: string): (() => void) | undefined {
  const file = lockPath(path)
  // Not opened again if it is there: a process loses its lock when it closes any descriptor of the file.
  if (!existsSync(file)) writeFileSync(file, '', { mode: 0o600 })
  const lock = new Sqlite(file, { timeout: 0 })
  try {
    // Nothing is stored in this file: an exclusive transaction is a file lock that works on every platform.
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    if ((error as { code?: string }).code === 'SQLITE_BUSY') return undefined
    throw error
  }
  return () => void lock.close()
}
