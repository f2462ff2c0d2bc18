/** Tells when a configuration file may have changed. What changed is found by reading it again. */
import { unwatchFile, watchFile as watchStat } from 'node:fs'

/** How often the file is looked at, in ms. */
const POLL_INTERVAL_MS = 250
/** Editors write in several steps. */
const DEBOUNCE_MS = 200

/**
 * Calls `onChange` when the file was written, replaced or removed and nothing more has happened for a moment. The file is
 * looked at again and again: to watch its folder would wake us at every write to the database, which usually lies there
 * too. Returns the way out.
 */
export function watchFile(path: string, onChange: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const look = () => {
    clearTimeout(timer)
    timer = setTimeout(onChange, DEBOUNCE_MS).unref()
  }
  watchStat(path, { persistent: false, interval: POLL_INTERVAL_MS }, look)
  return () => {
    clearTimeout(timer)
    unwatchFile(path, look)
  }
}
