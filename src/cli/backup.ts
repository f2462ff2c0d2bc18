/**
 * A copy of the database with what it needs to be opened and verified, and the way back.
 *
 * The rules are:
 * - The head of the audit is read before the copy is made, so it never tells of rows that the copy does not have.
 * - Nothing has its final name before it was looked at: a backup that is there is a good one.
 * - What is replaced is kept, under a name that is told.
 */
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import { takeDatabase } from '../access/server-file.ts'
import { headPath, keyPath, readWitness } from '../audit/anchor.ts'
import { verifyChain } from '../audit/verify.ts'
import { isoTime, systemClock } from '../clock.ts'
import { dataKeyPath } from '../db/seal.ts'
import { readStore } from '../db/store.ts'
import { CageError } from '../errors.ts'
import { newToken } from '../tokens.ts'
import { loadFlags, withDatabaseFlags } from './flags.ts'
import { json } from './print.ts'
import type { Command } from './terminal.ts'

/** What lies beside a database and belongs to it. */
const BESIDE = [keyPath, headPath, dataKeyPath] as const
/** What is in neither: told, so that nobody finds out when it is needed. */
const NOT_IN_IT = ['the master key', 'the configuration file', 'the logs']

interface Copy {
  file: string
  bytes: number
  audit_rows: number
  /** Further files, each beside it. */
  with: string[]
  not_in_it: string[]
}

export const backupCommand: Command = (yargs, terminal) =>
  yargs.command(
    'backup <file>',
    'Copy the database and its keys to a new file, also while the server runs, and verify the copy',
    (command) =>
      withDatabaseFlags(command)
        .positional('file', { type: 'string', demandOption: true, describe: 'Where to; must not be there yet' })
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example('$0 backup /backups/iron-cage-monday.db', 'to bring back with restore'),
    async ({ file, json: asJson, ...flags }) => {
      const copy = await backUp(loadFlags(flags, terminal).config.db.path, resolve(terminal.cwd, file))
      if (asJson) return terminal.out(json(copy))
      terminal.out(
        `${copy.file}: ${copy.bytes} bytes, whole; ${copy.audit_rows} rows of the audit, as they were written`,
      )
      terminal.out(`with it: ${copy.with.join(', ') || 'nothing'}; whoever has these files can read what is sealed`)
      terminal.out(`not in it: ${copy.not_in_it.join(', ')}`)
    },
  )

export const restoreCommand: Command = (yargs, terminal) =>
  yargs.command(
    'restore <file>',
    'Put a backup in the place of the database, while no server runs; what was there is kept',
    (command) =>
      withDatabaseFlags(command)
        .positional('file', { type: 'string', demandOption: true, describe: 'What backup wrote' })
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example('$0 restore /backups/iron-cage-monday.db', ''),
    async ({ file, json: asJson, ...flags }) => {
      const restored = await restore(resolve(terminal.cwd, file), loadFlags(flags, terminal).config.db.path)
      if (asJson) return terminal.out(json(restored))
      terminal.out(`${restored.file} is ${file}: ${restored.audit_rows} rows of the audit, as they were written`)
      if (restored.kept.length > 0) terminal.out(`kept: ${restored.kept.join(', ')}`)
    },
  )

/** Throws CageError `not_found`, `conflict`, `database_unusable` or `audit_broken`; leaves nothing behind then. */
export async function backUp(path: string, file: string): Promise<Copy> {
  if (!existsSync(path)) throw new CageError('not_found', `there is no database ${path}`, { hint: 'name it with --db' })
  for (const taken of [file, ...BESIDE.map((beside) => beside(file))]) {
    if (existsSync(taken)) throw new CageError('conflict', `${taken} is there already`, { hint: 'choose a new name' })
  }
  const draft = `${file}.part`
  const beside = BESIDE.filter((of) => existsSync(of(path)))
  try {
    mkdirSync(dirname(file), { recursive: true })
    for (const of of beside) writeFileSync(of(draft), readFileSync(of(path)), { mode: 0o600 })
    writeFileSync(draft, '', { mode: 0o600 })
    await copyOnline(path, draft)
    const auditRows = await verify(draft)
    for (const of of [...beside, (name: string) => name]) renameSync(of(draft), of(file))
    return {
      file,
      bytes: statSync(file).size,
      audit_rows: auditRows,
      with: beside.map((of) => of(file)),
      not_in_it: NOT_IN_IT,
    }
  } catch (error) {
    for (const of of [...BESIDE, (name: string) => name]) rmSync(of(draft), { force: true })
    throw asUnusable(error, `cannot back up ${path}`)
  }
}

/** SQLite's own way, which goes on while a server writes. The copy is one file, without a WAL. */
async function copyOnline(path: string, draft: string): Promise<void> {
  const source = new Sqlite(path, { readonly: true })
  try {
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

/** Returns how many rows the audit has. */
async function verify(path: string): Promise<number> {
  using store = readStore(path)
  const problem = store.orm.$client.pragma('integrity_check(1)', { simple: true })
  if (problem !== 'ok') throw new CageError('database_unusable', `${path} is damaged: ${problem}`, { facts: { path } })
  const verdict = await verifyChain(store.audit, readWitness(path))
  if (!verdict.ok) throw new CageError('audit_broken', verdict.problem, { facts: { path, row: verdict.row } })
  return verdict.rows
}

/** Throws CageError `already_running` while a server runs, `not_found`, `database_unusable` or `audit_broken`. */
export async function restore(
  file: string,
  path: string,
): Promise<{ file: string; audit_rows: number; kept: string[] }> {
  if (!existsSync(file)) throw new CageError('not_found', `there is no backup ${file}`, { hint: 'check the path' })
  if (resolve(file) === resolve(path)) throw new CageError('conflict', `${file} is the database itself`)
  mkdirSync(dirname(resolve(path)), { recursive: true })
  const taken = await takeDatabase(path, newToken('ic'))
  const draft = `${path}.restoring`
  const beside = BESIDE.filter((of) => existsSync(of(file)))
  try {
    for (const of of [...beside, (name: string) => name]) {
      copyFileSync(of(file), of(draft))
      chmodSync(of(draft), 0o600)
    }
    const auditRows = await verify(draft)
    const kept = setAside(path)
    for (const of of [...beside, (name: string) => name]) renameSync(of(draft), of(path))
    return { file: path, audit_rows: auditRows, kept }
  } catch (error) {
    for (const of of [...BESIDE, (name: string) => name]) rmSync(of(draft), { force: true })
    throw asUnusable(error, `cannot restore ${file}`)
  } finally {
    taken.release()
  }
}

/** Renames the database and all that belongs to it, as it is: it may be what somebody wants to look at. */
function setAside(path: string): string[] {
  const name = `${path}.replaced-${isoTime(systemClock.now()).replace(/[:.]/g, '-')}`
  const all = [(of: string) => of, (of: string) => `${of}-wal`, (of: string) => `${of}-shm`, ...BESIDE]
  return all
    .filter((of) => existsSync(of(path)))
    .map((of) => {
      renameSync(of(path), of(name))
      return of(name)
    })
}

function asUnusable(error: unknown, what: string): CageError {
  if (error instanceof CageError) return error
  return new CageError('database_unusable', `${what}: ${(error as Error).message}`, { cause: error })
}
