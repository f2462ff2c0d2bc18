/**
 * `node scripts/bench/growth.ts [--rounds 3] [--json]`: needs a build. The time of a call
 * and of a start of the server as agents, events and the ledger grow; a curve that is not flat is a defect. Each size
 * is a separate database, filled through the program (calls as rows: real ones would take hours); in every round each
 * is served once and called by ten connections at once. Medians; the ratio is to the first size of the same kind.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { configSchema } from '../../src/config/schema.ts'
import { openStore } from '../../src/db/store.ts'
import { openParts } from '../../test/support/built.ts'
import { addCrowd } from '../../test/support/crowd.ts'
import type { FakeProvider } from '../../test/support/provider.ts'
import { Cage } from '../soak/cage.ts'
import { insertCalls } from '../soak/ledger-rows.ts'
import { cpuSeconds, median, quantile } from './figures.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    json: { type: 'boolean', default: false },
  },
})
const CONNECTIONS = 10
const WARM_UP_CALLS = 500
const CALLS = 3_000
/** More than the provider's reported usage. */
const MAX_TOKENS = 200

const LEAST = { agents: 1, events: 100, calls: 10 }
type Kind = keyof typeof LEAST
/** A million events are as many as are kept. */
const SIZES: Record<Kind, number[]> = {
  agents: [1, 100, 1_000],
  events: [100, 100_000, 1_000_000],
  calls: [10, 100_000, 1_000_000],
}

interface Point {
  kind: Kind
  count: number
  cage: Cage
  /** Ms until the server listens. */
  starts: number[]
  /** Processor time of a call in µs. */
  costs: number[]
  latencies: { p50: number; p99: number }[]
}

const ms = (time: number): string => `${time.toFixed(1)} ms`

const root = mkdtempSync(join(tmpdir(), 'iron-cage-growth-'))
const provider = spawn(process.execPath, [join(import.meta.dirname, 'provider.ts')], {
  stdio: ['ignore', 'pipe', 'inherit'],
})
const points: Point[] = []
try {
  const [port] = (await once(createInterface(provider.stdout), 'line')) as [string]
  const kinds = Object.keys(SIZES) as Kind[]
  for (const kind of kinds) for (const count of SIZES[kind]) points.push(await filled(kind, count, port))
  for (let round = 1; round <= Number(values.rounds); round++) {
    for (const point of points) await measure(point)
    process.stderr.write(`round ${round} of ${values.rounds}\n`)
  }
  report(points)
} finally {
  provider.kill()
  for (const { cage } of points) await cage.kill()
  rmSync(root, { recursive: true, force: true })
}

async function filled(kind: Kind, count: number, port: string): Promise<Point> {
  const size = { ...LEAST, [kind]: count }
  process.stderr.write(`filling: ${count} ${kind}\n`)
  const folder = join(root, `${kind}-${count}`)
  mkdirSync(folder)
  const cage = new Cage(folder, { url: `http://127.0.0.1:${port}` } as FakeProvider)
  const path = join(folder, 'state.db')
  const config = { server: { port: 0 }, db: { path }, log: { dir: join(folder, 'logs'), level: 'error' } }
  const runtime = await openParts({
    config: configSchema.parse(config),
    configFile: null,
    environment: {},
    version: 'bench',
  })
  const agentIds = addCrowd(runtime, size)
  await runtime.close('filled')
  const store = openStore({ path })
  store.transaction(() => {
    for (const _ of insertCalls(store, { agentIds, count: size.calls, startMs: Date.now() - size.calls * 10 })) void _
  })
  store.close()
  await cage.start()
  await cage.kill()
  return { kind, count, cage, starts: [], costs: [], latencies: [] }
}

async function measure({ cage, starts, costs, latencies }: Point): Promise<void> {
  const began = performance.now()
  await cage.start()
  starts.push(performance.now() - began)
  await calls(cage, WARM_UP_CALLS)
  const before = cpuSeconds(cage.pid)
  const waits = await calls(cage, CALLS)
  costs.push(((cpuSeconds(cage.pid) - before) * 1_000_000) / CALLS)
  latencies.push({ p50: median(waits), p99: quantile(waits, 0.99) })
  await cage.kill()
}

async function calls(cage: Cage, count: number): Promise<number[]> {
  const waits: number[] = []
  let begun = 0
  const caller = async () => {
    while (begun++ < count) {
      const began = performance.now()
      const { status, text } = await cage.call(MAX_TOKENS, { stream: false })
      if (status !== 200) throw new Error(`a call was answered ${status}: ${text}`)
      waits.push(performance.now() - began)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, caller))
  return waits
}

function report(points: Point[]): void {
  const rows = points.map(({ kind, count, starts, costs, latencies }) => ({
    kind,
    count,
    start_ms: Math.round(median(starts)),
    call_us: Math.round(median(costs)),
    p50_ms: median(latencies.map(({ p50 }) => p50)),
    p99_ms: median(latencies.map(({ p99 }) => p99)),
  }))
  if (values.json) return console.log(JSON.stringify(rows))
  console.log('| | starts in | processor time of a call | p50 | p99 |\n|---|---|---|---|---|')
  for (const row of rows) {
    const first = rows.find(({ kind }) => kind === row.kind)!
    const ratio = (row.call_us / first.call_us).toFixed(2)
    const cells = [`${row.start_ms} ms`, `${row.call_us} µs (${ratio})`, ms(row.p50_ms), ms(row.p99_ms)]
    console.log(`| ${[`${row.count.toLocaleString('en')} ${row.kind}`, ...cells].join(' | ')} |`)
  }
}
