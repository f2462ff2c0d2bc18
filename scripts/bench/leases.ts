/**
 * node scripts/bench/leases.ts [holds, 2,000 by default]: what a hold takes with a lease of a panel on this machine, against the
 * same runtime without a panel; in turns, one hold at a time.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { systemClock } from '../../src/clock.ts'
import { openStore } from '../../src/db/store.ts'
import { fromUsd, usd } from '../../src/money.ts'
import { startPanel } from '../../src/panel/server.ts'
import { joinMachine, type Machine, openMachine } from '../../test/panel/machine.ts'

const HOLDS = Number(process.argv[2] ?? 2_000)
const TURNS = 5
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-leases-'))
const panel = await startPanel({
  database: join(folder, 'panel.db'),
  host: '127.0.0.1',
  port: 0,
  allowedHosts: [],
  ttlMs: 60_000,
  version: '1.0.0',
  clock: systemClock,
  assets: () => false,
  onNotice: () => {},
  onFault: (error) => console.error(error),
})
const { fleet, organizationId } = panel
await fleet.setLimit(organizationId, { scope: 'organization', name: null }, { limit: fromUsd(usd('100000')) }, 'ada')

async function joined(name: string): Promise<Machine> {
  const path = join(folder, `${name}.db`)
  await joinMachine(
    path,
    panel.url,
    await fleet.credentials.invite(organizationId, { team: null, user: null }, name, 'ada'),
  )
  return openMachine(path)
}

/** The same durability as with leases, so that only they differ; and as configured by default. */
function alone(name: string, synchronous: 'full' | 'normal'): Machine {
  const path = join(folder, `${name}.db`)
  openStore({ path }).close()
  const machine = openMachine(path)
  machine.store.orm.$client.pragma(`synchronous = ${synchronous}`)
  return machine
}

const machines = {
  'alone, synchronous: normal': alone('normal', 'normal'),
  'alone, synchronous: full': alone('full', 'full'),
  'with leases': await joined('near'),
}
const times: Record<string, number[]> = {}
for (let turn = 0; turn < TURNS; turn++) {
  for (const [name, machine] of Object.entries(machines)) {
    times[name] ??= []
    for (let n = 0; n < HOLDS / TURNS; n++) {
      const from = performance.now()
      await machine.call('0.001', async () => {
        times[name]!.push(performance.now() - from)
        return fromUsd(usd('0.0005'))
      })
      await wait(0)
    }
  }
}
for (const [name, all] of Object.entries(times)) {
  all.sort((one, other) => one - other)
  const at = (share: number) => all[Math.floor(all.length * share)]!.toFixed(3)
  console.log(`${name.padEnd(28)} p50 ${at(0.5)} ms  p99 ${at(0.99)} ms`)
}
for (const machine of Object.values(machines)) await machine.close()
await panel.close()
rmSync(folder, { recursive: true, force: true })
