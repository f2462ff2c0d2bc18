import { accessSync, constants, mkdtempSync, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** Where `folderInMemory` makes folders in this run of the suite. */
    memory: string
  }
}

const MEMORY = '/dev/shm'
/** Far more than a run needs; a container's own is often smaller, and a run that fills it fails. */
const NEEDED_BYTES = 1 << 30

/** A new folder in memory, where the system has room for one, and else among the temporary files. */
export function makeMemory(): string {
  return mkdtempSync(join(hasMemory() ? MEMORY : tmpdir(), 'iron-cage-tests-'))
}

function hasMemory(): boolean {
  try {
    accessSync(MEMORY, constants.W_OK)
    const { bavail, bsize } = statfsSync(MEMORY)
    return bavail * bsize >= NEEDED_BYTES
  } catch {
    return false // no Linux
  }
}

/**
 * A new folder for a database of this process: a commit waits for a disk, and data in memory survives all that a test
 * does to a process. Not for agents in a sandbox, which see another memory.
 */
export const folderInMemory = (): string => mkdtempSync(join(inject('memory'), 'iron-cage-'))
