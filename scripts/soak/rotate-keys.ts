/** `node scripts/soak/rotate-keys.ts [seconds] [rotations]`: a minute with ten rotations, or as many as given. */
import { keyNumber, rotateUnderLoad } from './rotations.ts'

const [seconds = 60, rotations = 10] = process.argv.slice(2).map(Number)
const summary = await rotateUnderLoad(seconds, rotations)
console.log(JSON.stringify(summary, null, 2))
const wanted = Array.from({ length: rotations + 1 }, (_, number) => keyNumber(number))
const isFine =
  summary.failed === 0 &&
  summary.pids[0] === summary.pids[1] &&
  summary.restartsRequired === 0 &&
  summary.order.join() === wanted.join()
process.exitCode = isFine ? 0 : 1
