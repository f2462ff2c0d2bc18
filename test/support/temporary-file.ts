import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A path for a file that is not there yet, in a folder of its own that goes with the test. (Default: state.db) */
export function temporaryFile(name = 'state.db'): string {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, name)
}
