/**
 * Checks that a database file is undamaged: before it is used, or, since reading a large file takes seconds, on a thread
 * while it is used; damage then ends the process, as SQLite's own errors would once it came across it.
 */
import { statSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import type Sqlite from 'better-sqlite3'
import { CageError } from '../core/errors.ts'
import { threadFile } from '../core/package-folder.ts'

/** Read in some 50 ms. */
const LARGE_BYTES = 32 * 1024 * 1024

/** Throws CageError `database_unusable`: at once, or of a large file as an uncaught error. Returns what ends the check. */
export function checkStructure(client: Sqlite.Database): () => void {
  const path = client.name
  if (client.memory || statSync(path).size <= LARGE_BYTES) {
    requireSound(path, client.pragma('quick_check(1)', { simple: true }))
    return () => undefined
  }
  const thread = new Worker(threadFile(new URL('./check-thread.ts', import.meta.url)), { env: {}, workerData: path })
  thread.unref()
  thread.on('message', (problem) => requireSound(path, problem))
  // It could not even be opened or read.
  thread.on('error', (error) => requireSound(path, error.message))
  return () => void thread.terminate()
}

function requireSound(path: string, problem: unknown): void {
  if (problem === 'ok') return
  throw new CageError('database_unusable', `cannot use ${path} as a database: ${problem}`, {
    facts: { path },
    hint: 'keep a copy of the file, and restore a backup with "iron-cage restore"',
  })
}
