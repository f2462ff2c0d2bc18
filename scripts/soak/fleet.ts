/**
 * node scripts/soak/fleet.ts [seconds, 600 by default] [kind of fault, all by default]: three panels on one PostgreSQL and
 * eight machines under faults (fleet/fleet.ts), more than 500 kills in ten minutes. A line of progress now and then, and the
 * result as the last line, in JSON. Needs `npm run build` and PostgreSQL. Exits 1 when anything was overspent or the books do
 * not close.
 */
import { runFleet } from './fleet/fleet.ts'

const seconds = Number(process.argv[2] ?? 600)
const only = process.argv[3]
const onProgress = (text: string) => console.error(text)
const result = await runFleet({ seconds, machines: 8, panels: 3, callers: 5, faultIntervalMs: 500, only, onProgress })
console.log(JSON.stringify(result))
process.exitCode = result.violations.length > 0 ? 1 : 0
