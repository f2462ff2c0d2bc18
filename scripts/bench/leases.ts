/**
 * node scripts/bench/leases.ts [--holds 4000]: the extra time of a call with leases over the same runtime without a
 * panel, with the panel on this machine and 100 ms away. One call at a time, in alternating rounds; the last line is
 * JSON. A call here is its hold and its charge: a panel's part alone. The shared budget is small enough that slices are
 * asked for all the time.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { systemClock } from '../../src/core/clock.ts'
import { fromUsd, usd } from '../../src/core/money.ts'
import { startPanel } from '../../src/panel/server.ts'
import { joinMachine, type Machine, openMachine } from '../../test/panel/machine.ts'
import { freePort } from '../../test/support/free-port.ts'
import { openLink } from '../soak/fleet/link.ts'

const { values } = parseArgs({ options: { holds: { type: 'string', default: '4000' } } })
const HOLDS = Number(values.holds)
const ROUNDS = 20
const FAR_MS = 100
/** What docs/production.md promises, in ms. */
const MAX_ADDED_MS = 0.35
const COST = fromUsd(usd('0.0005'))
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-leases-'))
const port = await freePort()
const link = await openLink([port], FAR_MS)
const panel = await startPanel({
  database: join(folder, 'panel.db'),
  host: '127.0.0.1',
  port,
  allowedHosts: [new URL(link.url).host],
  ttlMs: 60_000,
  version: '1.0.0',
  clock: systemClock,
  assets: () => false,
  onNotice: () => {},
  onFault: (error) => console.error(error),
})
const { fleet, organizationId } = panel
await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: fromUsd(usd('100')) }, 'ada')

async function joined(name: string, url: string): Promise<Machine> {
  const path = join(folder, `${name}.db`)
  await joinMachine(path, url, await fleet.credentials.invite(organizationId, { team: null, user: null }, name, 'ada'))
  return openMachine(path)
}

const machines = {
  alone: openMachine(join(folder, 'alone.db')),
  'panel on this machine': await joined('near', panel.url),
  'panel 100 ms away': await joined('far', link.url),
}
type Name = keyof typeof machines
const times = Object.fromEntries(Object.keys(machines).map((name) => [name, [] as number[]])) as Record<Name, number[]>
for (let round = 0; round <= ROUNDS; round++) {
  for (const [name, machine] of Object.entries(machines) as [Name, Machine][]) {
    for (let n = 0; n < HOLDS / ROUNDS; n++) {
      const from = performance.now()
      await machine.call('0.001', async () => COST)
      // The first round is for warming up.
      if (round > 0) times[name].push(performance.now() - from)
      await wait(0)
    }
  }
}
const at = (name: Name, share: number) =>
  times[name].toSorted((one, other) => one - other)[Math.floor(times[name].length * share)]!
const added = (name: Name) => Number((at(name, 0.5) - at('alone', 0.5)).toFixed(3))
for (const name of Object.keys(machines) as Name[]) {
  console.log(`${name.padEnd(32)} p50 ${at(name, 0.5).toFixed(3)} ms  p99 ${at(name, 0.99).toFixed(3)} ms`)
}
const result = {
  holds: HOLDS,
  max_added_ms: MAX_ADDED_MS,
  added_p50_ms: { near: added('panel on this machine'), far: added('panel 100 ms away') },
}
for (const machine of Object.values(machines)) await machine.close()
await panel.close()
link.close()
rmSync(folder, { recursive: true, force: true })
console.log(JSON.stringify(result))
process.exitCode = Math.max(result.added_p50_ms.near, result.added_p50_ms.far) > MAX_ADDED_MS ? 1 : 0
