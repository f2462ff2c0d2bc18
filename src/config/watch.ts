/** Watches a configuration file. What changed is found by reading it again. */
import { unwatchFile, watchFile as watchStat } from 'node:fs'
import type { Clock, Timer } from '../core/clock.ts'

/** Polling interval of the file, in ms. */
const POLL_INTERVAL_MS = 250
/** Editors write in several steps. */
const DEBOUNCE_MS = 200

/**
 * Calls `onChange` when the file was written, replaced or removed and has not changed again for a moment. Polls the
 * file: watching its folder would wake the process at every write to the database, which is usually there too. Returns
 * an unsubscribe function.
 */
export function watchFile(path: string, clock: Clock, onChange: () => void): () => void {
  let timer: Timer | undefined
  const poll = () => {
    timer?.cancel()
    timer = clock.after(DEBOUNCE_MS, onChange).unref()
  }
  watchStat(path, { persistent: false, interval: POLL_INTERVAL_MS }, poll)
  return () => {
    timer?.cancel()
    unwatchFile(path, poll)
  }
}
