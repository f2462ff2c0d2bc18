/**
 * node scripts/soak/soak.ts [minutes, 30 by default]: needs a build. Three agents that crash now and then, a service
 * that fails half of the time, a provider that is slow. Prints how the server's memory grew, how long its event loop
 * was held up, and the remains when all agents had been stopped: holds, timers, processes. Exits 1 when there is too
 * much of any.
 */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AgentId } from '../../src/core/ids.ts'
import { findByAgentId } from '../../src/core/process-table.ts'
import { answer, FakeProvider } from '../../test/support/provider.ts'
import { Cage } from './cage.ts'

const AGENTS = 3
/** About so long an agent lives, in seconds: four crashes a minute would be a crash loop. */
const CRASHES_AFTER_S = 25
const FLAPS_EVERY_MS = 7_000
const SLOW_MS = 400
const SAMPLE_MS = 5_000
/** Caches and pools fill first; growth is counted from here on. */
const WARM_SHARE = 0.25
const MAX_GROWTH = 0.05
const MAX_DELAY_MS = 20

const minutes = Number(process.argv[2] ?? 30)
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-soak-'))
const probe = join(folder, 'probe.json')
/** What runs inside the server beside the program: reports its state on SIGUSR2. A tick is a millisecond by itself. */
const PROBE = `
  import { monitorEventLoopDelay } from 'node:perf_hooks'
  import { renameSync, writeFileSync } from 'node:fs'
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  process.on('SIGUSR2', () => {
    const counts = {}
    for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1
    const { rss, heapUsed } = process.memoryUsage()
    const say = { at: Date.now(), rss, heapUsed, counts, p99: delay.percentile(99) / 1e6 - 1, worst: delay.max / 1e6 - 1 }
    writeFileSync(${JSON.stringify(probe)} + '.new', JSON.stringify(say))
    renameSync(${JSON.stringify(probe)} + '.new', ${JSON.stringify(probe)})
  })`

interface Sample {
  at: number
  rss: number
  heapUsed: number
  counts: Record<string, number>
  p99: number
  worst: number
}

const provider = await FakeProvider.open()
provider.does(async (response, received) => {
  await sleep(Math.random() * SLOW_MS)
  return answer()(response, received)
})
let isUp = true
const service = createServer((_request, response) => {
  response.writeHead(isUp ? 200 : 503, { 'content-type': 'application/json' }).end(JSON.stringify({ ok: isUp }))
}).listen(0, '127.0.0.1')
await once(service, 'listening')
const flapping = setInterval(() => {
  isUp = !isUp
}, FLAPS_EVERY_MS)
const cage = new Cage(folder, provider, {
  agent: { restart: { max: 100 } },
  services: {
    flapping: {
      base_url: `http://127.0.0.1:${(service.address() as AddressInfo).port}`,
      breaker: { cooldown_s: 3 },
      fallback: { cache: { ttl_s: 60 } },
    },
  },
})

async function sample(): Promise<Sample> {
  const before = readProbe()?.at
  for (;;) {
    process.kill(cage.pid, 'SIGUSR2')
    await sleep(100)
    const now = readProbe()
    if (now && now.at !== before) return now
  }
}

function readProbe(): Sample | undefined {
  try {
    return JSON.parse(readFileSync(probe, 'utf8')) as Sample
  } catch {
    return undefined
  }
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
const megabytes = (bytes: number): string => (bytes / 1_048_576).toFixed(1)

/** How busy the machine is with others. */
const beside = monitorEventLoopDelay({ resolution: 1 })
beside.enable()
const faults: string[] = []
try {
  process.env.NODE_OPTIONS = `--import data:text/javascript,${encodeURIComponent(PROBE)}`
  await cage.start()
  const idle = await sample()
  const script = resolve(import.meta.dirname, 'agents/calls.mjs')
  const ids: AgentId[] = []
  for (let count = 0; count < AGENTS; count++) {
    const started = await cage.api('POST', '/api/agents', {
      script,
      args: [String(CRASHES_AFTER_S)],
      budget_usd: '100000',
    })
    ids.push((started.agent as { id: AgentId }).id)
  }
  const samples: Sample[] = []
  for (const until = Date.now() + minutes * 60_000; Date.now() < until; await sleep(SAMPLE_MS)) {
    samples.push(await sample())
    process.stderr.write(`\r${samples.length} samples · ${megabytes(samples.at(-1)!.rss)} MB `)
  }
  process.stderr.write('\n')
  const warm = samples.slice(Math.floor(samples.length * WARM_SHARE))
  const tail = Math.max(1, Math.floor(warm.length / 5))
  const [from, to] = [
    median(warm.slice(0, tail).map(({ rss }) => rss)),
    median(warm.slice(-tail).map(({ rss }) => rss)),
  ]
  const growth = to / from - 1
  const { p99, worst } = samples.at(-1)!
  const restarts = await Promise.all(
    ids.map(async (id) => ((await cage.api('GET', `/api/agents/${id}/status`)).agent as { restarts: number }).restarts),
  )
  for (const id of ids) await cage.api('POST', `/api/agents/${id}/stop`)
  // Unused connections are kept for a while.
  await sleep(6_000)
  const end = await sample()
  const held = cage.query(`SELECT count(*) AS held FROM holds`) as { held: number }[]
  const calls = cage.query('SELECT count(*) AS calls FROM calls') as { calls: number }[]
  const left = (await Promise.all(ids.map(findByAgentId))).flatMap((pids) => [...pids])
  const more = (name: string) => (end.counts[name] ?? 0) - (idle.counts[name] ?? 0)

  console.log(`${minutes} minutes · ${calls[0]!.calls} calls · restarts ${restarts.join(', ')}`)
  console.log(
    `memory ${megabytes(idle.rss)} MB idle, ${megabytes(from)} → ${megabytes(to)} MB: ${(growth * 100).toFixed(1)} %`,
  )
  const here = beside.percentile(99) / 1e6 - 1
  console.log(
    `event loop held up: p99 ${p99.toFixed(1)} ms, at worst ${worst.toFixed(1)} ms; in this process, which does little: p99 ${here.toFixed(1)} ms`,
  )
  console.log(
    `left: ${held[0]!.held} holds, ${more('Timeout')} timers, ${more('ProcessWrap')} children, ${left.length} processes`,
  )
  if (growth > MAX_GROWTH) faults.push('memory grows')
  if (p99 > MAX_DELAY_MS) faults.push('the event loop is held up')
  if (held[0]!.held > 0) faults.push('holds are left')
  if (more('Timeout') > 0 || more('ProcessWrap') > 0) faults.push('timers or children are left')
  if (left.length > 0) faults.push(`processes are left: ${left.join(', ')}`)
} finally {
  clearInterval(flapping)
  await cage.close()
  await provider.close()
  service.closeAllConnections()
  service.close()
  rmSync(folder, { recursive: true, force: true })
}
for (const fault of faults) console.log(`  ${fault}`)
process.exitCode = faults.length > 0 ? 1 : 0
