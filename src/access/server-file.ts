/**
 * The server file, `<database>.server`: names the process that serves a database, and its address for the command line
 * on this machine. It is also the lock: one server per database. A file whose process is gone, or whose pid now belongs
 * to another process (its start time differs), was left by a killed server and is replaced.
 */
import { readFileSync, statSync } from 'node:fs'
import { processStarted } from '../core/process-table.ts'
import { serverFilePath } from '../db/files.ts'

export interface ServerFile {
  pid: number
  /** When the process started, as the system reports it. */
  pid_started: string
  url: string
  /** Admin token of this start. */
  token: string
}

/** Reads the file of a running server; undefined when none runs. */
export async function readServerFile(databasePath: string): Promise<ServerFile | undefined> {
  const path = serverFilePath(databasePath)
  let file: ServerFile
  try {
    // Reading a named pipe would block.
    if (!statSync(path).isFile()) return undefined
    file = JSON.parse(readFileSync(path, 'utf8')) as ServerFile
  } catch {
    return undefined
  }
  return (await processStarted(file.pid)) === file.pid_started ? file : undefined
}
