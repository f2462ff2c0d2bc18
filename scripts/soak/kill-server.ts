/** node scripts/soak/kill-server.ts [kills, 200 by default]: needs a build. Exits 1 when anything did not match. */
import { type KillSummary, killRounds } from './kills.ts'

const kills = Number(process.argv[2] ?? 200)
const startedAt = performance.now()
const line = ({ kills: done, seen, charged, unresolved, unsent, faults }: KillSummary) =>
  `${done}/${kills} kills · provider saw ${seen} · charged ${charged}, unresolved ${unresolved} (${unsent} never sent) · ${faults.length} mismatches`
const summary = await killRounds(kills, (soFar) => process.stderr.write(`\r${line(soFar)}`))
process.stderr.write('\n')
console.log(`${line(summary)} · ${((performance.now() - startedAt) / 1000).toFixed(0)} s`)
for (const fault of summary.faults.slice(0, 20)) console.log(`  ${fault}`)
process.exitCode = summary.faults.length > 0 ? 1 : 0
