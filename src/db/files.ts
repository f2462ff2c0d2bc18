/** The files that make up a database and stand beside it. Whoever opens, backs up, checks or hides one takes them from here. */

type PathOf = (databasePath: string) => string

export const walPath: PathOf = (path) => `${path}-wal`
export const journalPath: PathOf = (path) => `${path}-journal`
/** Where its server is, while there is one. */
export const serverFilePath: PathOf = (path) => `${path}.server`
/** The key of the audit's chain. */
export const auditKeyPath: PathOf = (path) => `${path}.audit-key`
/** The last row of the audit. */
export const auditHeadPath: PathOf = (path) => `${path}.audit-head`
/** The key of what is sealed in it. */
export const dataKeyPath: PathOf = (path) => `${path}.data-key`

/** SQLite's own. */
export const SQLITE_FILES: readonly PathOf[] = [(path) => path, walPath, (path) => `${path}-shm`, journalPath]
/** What belongs to its data: a copy without them is worth less. */
export const COMPANIONS: readonly PathOf[] = [auditKeyPath, auditHeadPath, dataKeyPath]

/** All that there may be of a database. */
export const databaseFiles = (path: string): string[] =>
  [...SQLITE_FILES, serverFilePath, ...COMPANIONS].map((pathOf) => pathOf(path))
