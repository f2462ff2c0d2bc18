/** Shared results that take long to make: the first file of tests that asks makes one, the others wait for it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inject } from 'vitest'

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder of this run of the suite. */
    made: string
  }
}

/**
 * A folder that `make` has filled, once in a run of the suite, in whichever process was first. Only to be read. What
 * `make` throws is thrown to everybody who asks.
 */
export async function madeOnce(name: string, make: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = join(inject('made'), name)
  const [done, failed] = [`${folder}.done`, `${folder}.failed`]
  if (isFirst(`${folder}.begun`)) {
    mkdirSync(folder)
    await make(folder).then(
      () => writeFileSync(done, ''),
      (error: Error) => writeFileSync(failed, error.stack ?? error.message),
    )
  }
  // For as long as the hook may take that waits.
  while (!existsSync(done) && !existsSync(failed)) await sleep(50)
  if (existsSync(failed)) throw new Error(`${name} could not be made: ${readFileSync(failed, 'utf8')}`)
  return folder
}

function isFirst(folder: string): boolean {
  try {
    mkdirSync(folder)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}
