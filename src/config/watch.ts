/** Reports that a configuration file may have changed. What changed is found by reading it again. */
import { unwatchFile, watchFile as watchStat } from 'node:fs'
import type { Clock, Timer } from '../clock.ts'

/** How often the file is looked at, in ms. */
const POLL_INTERVAL_MS = 250
/** Editors write in several steps. */
const DEBOUNCE_MS = 200

/**
 * Calls `onChange` when the file was written, replaced or removed and nothing more has happened for a moment. The file is
 * looked at again and again: to watch its folder would wake us at every write to the database, which usually lies there
 * too. Returns an unsubscribe function.
 */
export function watchFile(path: string, clock: Clock, onChange: () => void): () => void {
  let timer: Timer | undefined
  const look = () => {
    timer?.cancel()
    timer = clock.after(DEBOUNCE_MS, onChange).unref()
  }
  watchStat(path, { persistent: false, interval: POLL_INTERVAL_MS }, look)
  return () => {
    timer?.cancel()
    unwatchFile(path, look)
  }
}
