/** The files that belong to a database, next to it. Opening, backup, checks and hiding all use these lists. */

import { existsSync, type Stats, statSync, writeFileSync } from 'node:fs'
import { CageError } from '../core/errors.ts'

type PathOf = (databasePath: string) => string

export const walPath: PathOf = (path) => `${path}-wal`
export const journalPath: PathOf = (path) => `${path}-journal`
/** The address of its server, while one runs. */
export const serverFilePath: PathOf = (path) => `${path}.server`
/** Locked while a process has the database. */
export const lockPath: PathOf = (path) => `${path}.lock`
/** The key of the audit chain. */
export const auditKeyPath: PathOf = (path) => `${path}.audit-key`
/** The last row of the audit. */
export const auditHeadPath: PathOf = (path) => `${path}.audit-head`
/** The key of sealed data in it. */
export const dataKeyPath: PathOf = (path) => `${path}.data-key`

/** SQLite's own. */
export const SQLITE_FILES: readonly PathOf[] = [(path) => path, walPath, (path) => `${path}-shm`, journalPath]
/** Files that are part of its data: a copy without them is incomplete. */
export const COMPANIONS: readonly PathOf[] = [auditKeyPath, auditHeadPath, dataKeyPath]

/** All files that a database may have. */
export const databaseFiles = (path: string): string[] =>
  [...SQLITE_FILES, serverFilePath, lockPath, ...COMPANIONS].map((pathOf) => pathOf(path))

/** Creates a file of a database, for this user only. Throws CageError `database_unusable`. */
export function createOwnFile(path: string, text: string, flag: 'w' | 'wx' = 'wx'): void {
  try {
    writeFileSync(path, text, { mode: 0o600, flag })
  } catch (error) {
    throw new CageError('database_unusable', `cannot create ${path}: ${(error as Error).message}`, {
      facts: { path },
      hint: 'check the disk, its free space and free inodes (df, df -i)',
      cause: error,
    })
  }
}

/** Throws CageError `database_unusable` naming a file that another program has made beside the database, or in its place. */
export function requireOwnFiles(databasePath: string): void {
  for (const file of databaseFiles(databasePath)) {
    const found = statSync(file, { throwIfNoEntry: false })
    // A named pipe would be waited for without end.
    if (found && !found.isFile())
      throw foreignFile(file, `is ${kindOf(found)}, where Iron Cage keeps a file of its own`)
  }
  // SQLite would write the pages of a rollback journal into the database before anything else.
  const journal = journalPath(databasePath)
  if (existsSync(journal)) throw foreignFile(journal, 'exists, which Iron Cage never creates')
}

const foreignFile = (path: string, what: string): CageError =>
  new CageError('database_unusable', `${path} ${what}`, {
    facts: { path },
    hint: 'another program created it: move it away, then start again',
  })

function kindOf(found: Stats): string {
  if (found.isDirectory()) return 'a folder'
  if (found.isFIFO()) return 'a named pipe'
  return found.isSocket() ? 'a socket' : 'a device'
}
