/** Chooses a strategy by facts that anybody can check, and lists them. */
import { type AgentFacts, holds, type Machine, showFact } from './facts.ts'
import type { Point, Strategy } from './strategy.ts'

/** What speaks for and against a strategy. */
export interface Judgment {
  strategy: Strategy
  /** Requirements that are not met here: with any, the strategy cannot be used. */
  missing: readonly string[]
  /** Facts that rule it out unless it is asked for by name. */
  against: readonly string[]
  /** Facts that speak for it. */
  reasons: readonly string[]
}

/** Judges strategies, the best first; of equals, the one that states fewer requirements. */
export function judge(strategies: readonly Strategy[], agent: AgentFacts, machine: Machine): Judgment[] {
  const listed = (points: readonly Point[], expected: boolean): string[] =>
    points.flatMap(({ fact, text }) =>
      fact && holds(fact, agent, machine) === expected ? [text ? `${showFact(fact)} (${text})` : showFact(fact)] : [],
    )
  return strategies
    .map((strategy) => ({
      strategy,
      missing: listed(strategy.resources, false),
      against: listed(strategy.notFor, true),
      reasons: listed(strategy.bestFor, true),
    }))
    .sort(
      (a, b) =>
        Number(isChoosable(b)) - Number(isChoosable(a)) ||
        b.reasons.length - a.reasons.length ||
        requirements(a.strategy) - requirements(b.strategy),
    )
}

const requirements = ({ resources }: Strategy): number => resources.filter(({ fact }) => fact).length

export const isChoosable = ({ missing, against }: Judgment): boolean => missing.length + against.length === 0

/** Why it is not chosen. */
export const obstacles = ({ missing, against }: Judgment): string[] => [
  ...missing.map((fact) => `needs ${fact}`),
  ...against.map((fact) => `not for ${fact}`),
]
