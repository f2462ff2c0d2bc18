/**
 * A copy of the database with the files that are needed to open and verify it, and how it is restored.
 *
 * The rules are:
 * - The head of the audit is read before the copy is made, so it never names rows that the copy does not have.
 * - Nothing gets its final name before it was verified: a backup that exists is a good one.
 * - Copies are made in a new folder: SQLite would apply a journal beside it.
 * - A replaced file is kept, under a name that is printed.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import { takeDatabase } from '../access/claim.ts'
import { readWitness } from '../audit/anchor.ts'
import { verifyChain } from '../audit/verify.ts'
import { isoTime, systemClock } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import { newToken } from '../core/tokens.ts'
import { isOfPanel } from '../db/database.ts'
import { COMPANIONS, requireOwnFiles, SQLITE_FILES } from '../db/files.ts'
import { readStore } from '../db/store.ts'
import { JOURNAL } from '../uplink/journal.ts'

/** The parts that a backup leaves out; printed, so that they are known in time. */
const NOT_IN_IT = ['the master key', 'the configuration file', 'the logs']

export interface Backup {
  file: string
  bytes: number
  audit_rows: number
  /** Further files of the backup, beside it. */
  with: string[]
  not_in_it: string[]
}

export interface Restored {
  /** The database. */
  file: string
  audit_rows: number
  /** Where the files are that were replaced. */
  kept: string[]
}

/** Copies the database `path` to `file`. Throws CageError `not_found`, `conflict`, `database_unusable` or `audit_broken`, and leaves nothing behind then. */
export async function backUp(path: string, file: string): Promise<Backup> {
  if (!existsSync(path)) throw new CageError('not_found', `there is no database ${path}`, { hint: 'name it with --db' })
  for (const taken of [file, ...COMPANIONS.map((companion) => companion(file))]) {
    if (existsSync(taken)) throw new CageError('conflict', `${taken} exists already`, { hint: 'choose a new name' })
  }
  const companions = COMPANIONS.filter((companionOf) => existsSync(companionOf(path)))
  return withDraft(file, `cannot back up ${path}`, async (draft) => {
    requireOwnFiles(path)
    for (const companionOf of companions)
      writeFileSync(companionOf(draft), readFileSync(companionOf(path)), { mode: 0o600 })
    writeFileSync(draft, '', { mode: 0o600 })
    await copyOnline(path, draft)
    const auditRows = await verify(draft)
    for (const pathOf of [...companions, (name: string) => name]) renameSync(pathOf(draft), pathOf(file))
    return {
      file,
      bytes: statSync(file).size,
      audit_rows: auditRows,
      with: companions.map((of) => of(file)),
      not_in_it: NOT_IN_IT,
    }
  })
}

/** Calls with a name in a new folder beside `file`, which is removed afterwards. Throws CageErrors; others become `database_unusable`. */
async function withDraft<T>(file: string, fault: string, work: (draft: string) => Promise<T>): Promise<T> {
  let folder: string | undefined
  try {
    mkdirSync(dirname(resolve(file)), { recursive: true })
    folder = mkdtempSync(join(dirname(resolve(file)), '.iron-cage-'))
    return await work(join(folder, basename(file)))
  } catch (error) {
    if (error instanceof CageError) throw error
    throw new CageError('database_unusable', `${fault}: ${(error as Error).message}`, { cause: error })
  } finally {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true })
  }
}

/** Uses SQLite's online backup, which works while a server writes. The copy is one file, without a WAL. */
async function copyOnline(path: string, draft: string): Promise<void> {
  const source = new Sqlite(path, { readonly: true })
  try {
    if (isOfPanel(source)) {
      throw new CageError('database_unusable', `${path} is the database of a Control Panel`, {
        facts: { path },
        hint: 'end the panel and copy the file: "Backups" in docs/production.md',
      })
    }
    await source.backup(draft)
  } finally {
    source.close()
  }
  const copy = new Sqlite(draft)
  try {
    copy.pragma('journal_mode = DELETE')
  } finally {
    copy.close()
  }
}

/** Returns the number of audit rows. */
async function verify(path: string): Promise<number> {
  using store = readStore(path)
  const problem = store.orm.$client.pragma('integrity_check(1)', { simple: true })
  if (problem !== 'ok') throw new CageError('database_unusable', `${path} is damaged: ${problem}`, { facts: { path } })
  const verdict = await verifyChain(store.audit, readWitness(path))
  if (!verdict.ok) throw new CageError('audit_broken', verdict.problem, { facts: { path, row: verdict.row } })
  return verdict.rows
}

/** Replaces the database `path` by the backup `file`. Throws CageError `already_running` while a server runs, `not_found`, `database_unusable` or `audit_broken`. */
export async function restore(file: string, path: string): Promise<Restored> {
  if (!existsSync(file)) throw new CageError('not_found', `there is no backup ${file}`, { hint: 'check the path' })
  if (resolve(file) === resolve(path)) throw new CageError('conflict', `${file} is the database itself`)
  mkdirSync(dirname(resolve(path)), { recursive: true })
  const taken = await takeDatabase(path, newToken('ic'))
  const companions = COMPANIONS.filter((of) => existsSync(of(file)))
  try {
    return await withDraft(path, `cannot restore ${file}`, async (draft) => {
      for (const of of [...companions, (name: string) => name]) {
        copyFileSync(of(file), of(draft))
        chmodSync(of(draft), 0o600)
      }
      const auditRows = await verify(draft)
      forgetJournal(draft)
      const kept = setAside(path)
      for (const of of [...companions, (name: string) => name]) renameSync(of(draft), of(path))
      return { file: path, audit_rows: auditRows, kept }
    })
  } finally {
    taken.release()
  }
}

/** Spending since the backup is not in it: a Control Panel must not take it for the ledger that it lent to. */
function forgetJournal(path: string): void {
  const copy = new Sqlite(path)
  try {
    copy.prepare('DELETE FROM meta WHERE key = ?').run(JOURNAL)
  } finally {
    copy.close()
  }
}

/** Renames the database and its companions unchanged: a person may want to examine them. Returns the new names. */
function setAside(path: string): string[] {
  const name = `${path}.replaced-${isoTime(systemClock.now()).replace(/[:.]/g, '-')}`
  return [...SQLITE_FILES, ...COMPANIONS]
    .filter((companionOf) => existsSync(companionOf(path)))
    .map((of) => {
      renameSync(of(path), of(name))
      return of(name)
    })
}
