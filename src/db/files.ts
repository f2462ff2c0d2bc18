/** The files that belong to a database, next to it. Opening, backup, checks and hiding all use these lists. */

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
