/** The findings of one text or one reply, bounded in memory. */
import type { PiiType } from '../core/events.ts'
import type { Finding } from './text/match.ts'

/** Findings that are kept whole; the others are only counted. */
export const MAX_FINDINGS = 100

export class Findings {
  /** Number of findings by type. */
  readonly counts = new Map<PiiType, number>()
  /** The first findings, with at least one of each type. */
  readonly kept: Finding[] = []
  readonly #maxKept: number

  constructor(findings: Iterable<Finding> = [], maxKept = MAX_FINDINGS) {
    this.#maxKept = maxKept
    this.add(findings)
  }

  get isEmpty(): boolean {
    return this.counts.size === 0
  }

  /** Number of all findings. */
  get total(): number {
    let total = 0
    for (const count of this.counts.values()) total += count
    return total
  }

  /** Adds the findings of another text. */
  merge({ counts, kept }: Pick<Findings, 'counts' | 'kept'>): void {
    this.add(kept)
    const keptOf = new Map<PiiType, number>()
    for (const { type } of kept) keptOf.set(type, (keptOf.get(type) ?? 0) + 1)
    for (const [type, count] of counts) this.counts.set(type, this.counts.get(type)! + count - keptOf.get(type)!)
  }

  add(findings: Iterable<Finding>): void {
    for (const finding of findings) {
      const count = this.counts.get(finding.type) ?? 0
      if (count === 0 || this.kept.length < this.#maxKept) this.kept.push(finding)
      this.counts.set(finding.type, count + 1)
    }
  }
}
