/** The curve of an agent's spending over its work. */
import { type AgentView, type BurnPoint, MAX_BURN_POINTS } from '../snapshot.ts'

export const burnPoint = (agent: AgentView, at: string, done: number): BurnPoint => ({
  at,
  done,
  spent_usd: agent.spent_usd,
})

/**
 * Halves the resolution when full. From then on the last point moves until it is as far from the previous one as the
 * early ones are from each other, so that the curve is even over its whole length.
 */
export function addBurnPoint(points: BurnPoint[], point: BurnPoint): BurnPoint[] {
  const kept = points.length < MAX_BURN_POINTS ? points : points.filter((_, index) => index % 2 === 0)
  const [, second, third] = kept
  const [before, last] = kept.slice(-2)
  const isEarly = kept.length < MAX_BURN_POINTS / 2 || !second || !third || !before || !last
  const moves = !isEarly && last.done - before.done < third.done - second.done
  return moves ? kept.with(-1, point) : [...kept, point]
}
