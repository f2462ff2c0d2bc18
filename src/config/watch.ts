/** Tells when a configuration file may have changed. What changed is found by reading it again. */
import { watch } from 'node:fs'
import { basename, dirname } from 'node:path'

/** Editors write in several steps. */
const CALM_MS = 200

/**
 * Calls `onChange` when the file was written, replaced or removed and nothing more has happened for a moment. The folder
 * is watched, not the file: many editors put a new file in the place of the old. Returns the way out.
 */
export function watchFile(path: string, onChange: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const watcher = watch(dirname(path), { persistent: false }, (_event, name) => {
    if (name !== null && name !== basename(path)) return
    clearTimeout(timer)
    timer = setTimeout(onChange, CALM_MS).unref()
  })
  // A folder that goes away takes the file with it; what was read stays.
  watcher.on('error', () => watcher.close())
  return () => {
    clearTimeout(timer)
    watcher.close()
  }
}
