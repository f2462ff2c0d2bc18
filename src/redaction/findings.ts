/** What was found in one text or one reply, however much it is. */
import type { PiiType } from '../events.ts'
import type { Finding } from './match.ts'

/** As many findings are kept whole; the others are counted. */
export const MAX_FINDINGS = 100

export class Findings {
  /** How many there were of each type. */
  readonly counts = new Map<PiiType, number>()
  /** The first of them, with at least one of each type. */
  readonly kept: Finding[] = []
  readonly #maxKept: number

  constructor(findings: Iterable<Finding> = [], maxKept = MAX_FINDINGS) {
    this.#maxKept = maxKept
    this.add(findings)
  }

  get isEmpty(): boolean {
    return this.counts.size === 0
  }

  /** How many there were. */
  get total(): number {
    let total = 0
    for (const count of this.counts.values()) total += count
    return total
  }

  /** Adds those of another text. */
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
