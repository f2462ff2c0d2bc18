/**
 * node scripts/soak/kill-agents.ts [kills, 200 by default]: needs a build. Kills the server with SIGKILL, again and
 * again, while three agents run: one that calls, one that ignores SIGTERM, one with twenty children that left its
 * group. Two seconds later none of their processes may live, the database must be sound, and the restarted server must
 * report the money of the rows. Exits 1 when anything did not match.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentId } from '../../src/core/ids.ts'
import { findByAgentId } from '../../src/core/process-table.ts'
import { answer, FakeProvider } from '../../test/support/provider.ts'
import { Cage } from './cage.ts'

const GONE_WITHIN_MS = 2_000
/** Up to so long after the start of its agents the server lives: from before their first line to a few calls. */
const LIVES_MS = 1_500
const kills = Number(process.argv[2] ?? 200)
const programs = resolve(import.meta.dirname, '../../test/agents/programs')
const SCRIPTS = [
  resolve(import.meta.dirname, 'agents/calls.mjs'),
  join(programs, 'ignore_signals.py'),
  join(programs, 'fork_setsid.py'),
]

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-kill-agents-'))
const provider = await FakeProvider.open()
provider.does(answer())
const cage = new Cage(folder, provider)
const faults: string[] = []
let slowestMs = 0
let calls = 0

async function startAgents(): Promise<AgentId[]> {
  const started = SCRIPTS.map((script) => cage.api('POST', '/api/agents', { script }))
  return (await Promise.all(started)).map(({ agent }) => (agent as { id: AgentId }).id)
}

const orphansOf = async (ids: AgentId[]) => (await Promise.all(ids.map(findByAgentId))).flatMap((pids) => [...pids])

/** Resolves with those that are left after the time they have. */
async function whenGone(ids: AgentId[]): Promise<number[]> {
  const killedAt = performance.now()
  for (;;) {
    const orphans = await orphansOf(ids)
    const tookMs = performance.now() - killedAt
    slowestMs = Math.max(slowestMs, tookMs)
    if (orphans.length === 0 || tookMs > GONE_WITHIN_MS) return orphans
    await sleep(20)
  }
}

async function lookAtMoney(ids: AgentId[], fault: (what: string) => void): Promise<void> {
  for (const id of ids) {
    const rows = cage.query(`SELECT state, cost_nanos, held_nanos FROM ledger WHERE agent_id = '${id}'`) as {
      state: string
      cost_nanos: number
      held_nanos: number
    }[]
    calls += rows.length
    const sum = (amount: (row: (typeof rows)[number]) => number) =>
      rows.reduce((all, row) => all + amount(row), 0) / 1e9
    const { agent, budget } = (await cage.api('GET', `/api/agents/${id}/status`)) as {
      agent: { state: string; spent_usd: string }
      budget: { spent_usd: string; held_usd: string }
    }
    const spent = sum(({ cost_nanos }) => cost_nanos)
    const held = sum(({ state, held_nanos }) => (state === 'unresolved' ? held_nanos : 0))
    if (agent.state !== 'failed') fault(`${id} is ${agent.state} after the restart`)
    for (const reported of [budget.spent_usd, agent.spent_usd]) {
      if (Number(reported) !== spent) fault(`${id} spent ${reported}; its rows say ${spent}`)
    }
    if (Number(budget.held_usd) !== held) fault(`${id} holds ${budget.held_usd}; its rows say ${held}`)
    if (rows.some(({ state }) => state === 'held')) fault(`${id} has a call that is still held`)
  }
}

try {
  await cage.start()
  for (let kill = 1; kill <= kills; kill++) {
    const fault = (what: string) => void faults.push(`kill ${kill}: ${what}`)
    const ids = await startAgents()
    await sleep(Math.random() * LIVES_MS)
    await cage.kill()
    const orphans = await whenGone(ids)
    if (orphans.length > 0) fault(`still there: ${orphans.join(', ')}`)
    await cage.start()
    await lookAtMoney(ids, fault)
    const [check] = cage.query('PRAGMA integrity_check') as { integrity_check: string }[]
    if (check?.integrity_check !== 'ok') fault(String(check?.integrity_check))
    process.stderr.write(`\r${kill}/${kills} kills · ${calls} calls · ${faults.length} faults`)
  }
  const seen = provider.requests.length
  if (calls < seen) faults.push(`the provider saw ${seen} calls, the ledger has ${calls}`)
} finally {
  await cage.close()
  await provider.close()
  rmSync(folder, { recursive: true, force: true })
}
process.stderr.write('\n')
console.log(
  `${kills} kills with three agents · all gone ${slowestMs.toFixed(0)} ms after the kill at the latest · ${calls} calls, as their rows tell · ${faults.length} faults`,
)
for (const fault of faults.slice(0, 20)) console.log(`  ${fault}`)
process.exitCode = faults.length > 0 ? 1 : 0
