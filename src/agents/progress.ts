/**
 * Whether the lives of an agent get anywhere. A life has made progress when it did what none before it did: its count of
 * finished work is the highest so far, it finished a unit that no life before it named, or what it keeps to go on from is
 * something new. A program that does the same again from its beginning makes none, however busy it is.
 */
import { hash } from 'node:crypto'
import type { RuntimeEvent } from '../events.ts'

/** As many labels of units, and checkpoints, are remembered; the oldest are forgotten first. */
const MAX_REMEMBERED = 10_000

export class ProgressWatch {
  #furthest = 0
  readonly #units = new Set<string>()
  readonly #checkpoints = new Set<string>()
  #hasProgressed = false

  /** `checkpoint`: the digest of what is kept before the first life; undefined for nothing. */
  constructor(checkpoint: string | undefined) {
    this.#isNewCheckpoint(checkpoint)
  }

  /** Takes note of what the agent reports. Returns whether that is progress. */
  see(event: RuntimeEvent): boolean {
    const isProgress = this.#isProgress(event)
    this.#hasProgressed ||= isProgress
    return isProgress
  }

  /** Ends a life, which leaves this checkpoint. Returns whether it made progress. */
  endLife(checkpoint: string | undefined): boolean {
    const isNew = this.#isNewCheckpoint(checkpoint)
    const progressed = this.#hasProgressed || isNew
    this.#hasProgressed = false
    return progressed
  }

  #isProgress(event: RuntimeEvent): boolean {
    if (event.type === 'progress.updated') {
      const { done } = event.data
      if (done <= this.#furthest) return false
      this.#furthest = done
      return true
    }
    if (event.type !== 'unit.completed' || event.data.outcome === 'failed') return false
    const { unit, label } = event.data
    // Without a name nobody knows whether it is done again.
    return label === null || isNew(this.#units, hash('sha256', `${unit}\n${label}`))
  }

  #isNewCheckpoint(checkpoint: string | undefined): boolean {
    return checkpoint !== undefined && isNew(this.#checkpoints, checkpoint)
  }
}

/** Remembers it, too. */
function isNew(seen: Set<string>, item: string): boolean {
  if (seen.has(item)) return false
  if (seen.size >= MAX_REMEMBERED) seen.delete(seen.values().next().value!)
  seen.add(item)
  return true
}
