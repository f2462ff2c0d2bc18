import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { folderInMemory } from './in-memory.ts'

/** A path for a file that is not there yet, in a separate folder that goes with the test. (Default: state.db) */
export function temporaryFile(name = 'state.db'): string {
  const folder = folderInMemory()
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, name)
}
