/**
 * Whether an agent's restarts make progress. A life makes progress when it did something that none before it did: its
 * count of finished work is the highest so far, it finished a unit that no earlier life named, or its checkpoint is
 * new. A program that repeats the same work from the beginning makes none, however busy it is.
 */
import { hash } from 'node:crypto'
import type { RuntimeEvent } from '../core/events.ts'

/** How many unit labels and checkpoints are remembered; the oldest are evicted first. */
const MAX_REMEMBERED = 10_000

export class ProgressWatch {
  #furthest = 0
  readonly #units = new Set<string>()
  readonly #checkpoints = new Set<string>()
  #hasProgressed = false

  /** `checkpoint`: digest of the checkpoint before the first life; undefined for none. */
  constructor(checkpoint: string | undefined) {
    this.#isNewCheckpoint(checkpoint)
  }

  /** Processes an agent's progress report. Returns true when it is progress. */
  see(event: RuntimeEvent): boolean {
    const isProgress = this.#isProgress(event)
    this.#hasProgressed ||= isProgress
    return isProgress
  }

  /** Ends a life, which leaves this checkpoint. Returns true when it made progress. */
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
    // Without a label, repeated work cannot be detected.
    return label === null || isNew(this.#units, hash('sha256', `${unit}\n${label}`))
  }

  #isNewCheckpoint(checkpoint: string | undefined): boolean {
    return checkpoint !== undefined && isNew(this.#checkpoints, checkpoint)
  }
}

/** Adds it if it is new. */
function isNew(seen: Set<string>, item: string): boolean {
  if (seen.has(item)) return false
  if (seen.size >= MAX_REMEMBERED) seen.delete(seen.values().next().value!)
  seen.add(item)
  return true
}
