/**
 * node scripts/soak/race-ledger.ts [repetitions, 1,000 by default]: two hundred calls on the last cent, again and again,
 * in which by turns the agent's, the run's or the server's budget is the tight one. Exits 1 when anything was overspent.
 */
import { raceRounds } from './races.ts'

const repetitions = Number(process.argv[2] ?? 1_000)
const startedAt = performance.now()
const { overspentNanos, held, admitted } = await raceRounds(repetitions)
console.log(
  `${repetitions} races of 200 · overspend $${overspentNanos / 1e9} at the worst instant · ${held} left held · admitted in each: ${admitted.join(', ')} · ${((performance.now() - startedAt) / 1000).toFixed(1)} s`,
)
process.exitCode = overspentNanos > 0 || held > 0 || admitted.join() !== '2' ? 1 : 0
