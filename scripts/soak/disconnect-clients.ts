/** node scripts/soak/disconnect-clients.ts [calls, 10,000 by default]: needs a build. Exits 1 when anything is wrong. */
import { disconnectRounds } from './disconnects.ts'

const calls = Number(process.argv[2] ?? 10_000)
const startedAt = performance.now()
const { faults, worstOverspend, ...figures } = await disconnectRounds(calls, (done) => {
  if (done % 50 === 0) process.stderr.write(`\r${done}/${calls} calls`)
})
process.stderr.write('\n')
console.log(JSON.stringify(figures))
console.log(
  `${calls} calls · overspend $${Math.max(0, worstOverspend)} · ${faults.length} faults · ${((performance.now() - startedAt) / 1000).toFixed(0)} s`,
)
for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`)
process.exitCode = faults.length > 0 ? 1 : 0
