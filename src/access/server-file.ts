/**
 * The server file, `<database>.server`: says which process serves a database and how the command line on this machine
 * reaches it. It is also the lock: one server a database. A file whose process is gone, or whose pid belongs to another
 * process by now (its start time differs), is left over from a killed server and is replaced.
 */

import { randomBytes } from 'node:crypto'
import { linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { CageError } from '../errors.ts'
import { processStarted } from '../process-table.ts'

export interface ServerFile {
  pid: number
  /** When the process started, as the system tells it. */
  pid_started: string
  url: string
  /** Admin token of this start. */
  token: string
}

export const serverFilePath = (databasePath: string): string => `${databasePath}.server`

/** The file of a server that runs; undefined when none does. */
export async function readServerFile(databasePath: string): Promise<ServerFile | undefined> {
  let file: ServerFile
  try {
    file = JSON.parse(readFileSync(serverFilePath(databasePath), 'utf8')) as ServerFile
  } catch {
    return undefined
  }
  return (await processStarted(file.pid)) === file.pid_started ? file : undefined
}

export interface TakenDatabase {
  /** Tells where the server listens. */
  publish(url: string): void
  release(): void
}

/**
 * Takes the database for this process. Throws CageError `already_running` naming the server that has it.
 */
export async function takeDatabase(databasePath: string, token: string): Promise<TakenDatabase> {
  const path = serverFilePath(databasePath)
  const started = (await processStarted(process.pid)) ?? ''
  const write = (url: string, to: string) => {
    const file: ServerFile = { pid: process.pid, pid_started: started, url, token }
    writeFileSync(to, JSON.stringify(file), { mode: 0o600, flag: 'w' })
  }
  const owner = await readServerFile(databasePath)
  if (owner) throw taken(databasePath, owner)
  rmSync(path, { force: true })
  const draft = `${path}.${randomBytes(4).toString('hex')}`
  write('', draft)
  try {
    // A link fails when another server was faster, and a complete file appears at once.
    linkSync(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw taken(databasePath, await readServerFile(databasePath))
  } finally {
    rmSync(draft, { force: true })
  }
  return { publish: (url) => write(url, path), release: () => rmSync(path, { force: true }) }
}

const taken = (databasePath: string, owner: ServerFile | undefined): CageError =>
  new CageError(
    'already_running',
    `${databasePath} is served by process ${owner?.pid ?? 'unknown'} at ${owner?.url || 'an address not known yet'}`,
    {
      facts: { path: databasePath, pid: owner?.pid, url: owner?.url },
    },
  )
