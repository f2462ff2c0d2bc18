/**
 * node scripts/bench/sandbox-calls.ts [rounds, 5] [calls, 2000]: needs a build. The sandbox's part of a call: the same
 * agent makes so many calls, one after the other, to a separate server at each level, in turns. Prints the medians of
 * p50, of p99 and of the processor time that agent and server together use for a call, and their ratio to those without
 * a sandbox. Linux only.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FakeProvider } from '../../test/support/provider.ts'
import { Cage } from '../soak/cage.ts'
import { cpuSeconds, median } from './figures.ts'

const LEVELS = ['off', 'observe', 'standard', 'strict'] as const
const FIGURES = ['p50', 'p99', 'cpu'] as const
const script = resolve(import.meta.dirname, 'calling-agent.mjs')
const [rounds = 5, calls = 2_000] = process.argv.slice(2).map(Number)

/** Milliseconds a call. */
type Figures = Record<(typeof FIGURES)[number], number>

interface Site {
  cage: Cage
  folder: string
  found: Figures[]
}

/** One run of the agent. It reports in files when it is ready and its result, and waits for one before it begins. */
async function measure({ cage, folder }: Site): Promise<Figures> {
  const work = mkdtempSync(join(folder, 'work-'))
  const { agent } = await cage.api('POST', '/api/agents', {
    script,
    args: [String(calls)],
    cwd: work,
    budget_usd: '100000',
  })
  const until = async (name: string) => {
    while (!existsSync(join(work, name))) {
      const { state, reason } = (await cage.api('GET', `/api/agents/${(agent as { id: string }).id}/status`)).agent as {
        state: string
        reason: string | null
      }
      if (reason !== null) throw new Error(`the agent is ${state}: ${reason}`)
      await sleep(20)
    }
  }
  await until('ready')
  const before = cpuSeconds(cage.pid)
  writeFileSync(join(work, 'go'), '')
  // Nobody asks the server meanwhile.
  while (!existsSync(join(work, 'done'))) await sleep(20)
  const ofServer = ((cpuSeconds(cage.pid) - before) * 1_000) / calls
  const { p50, p99, cpuMs } = JSON.parse(readFileSync(join(work, 'done'), 'utf8')) as Record<string, number>
  return { p50: p50!, p99: p99!, cpu: ofServer + cpuMs! }
}

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-sandbox-calls-'))
const provider = await FakeProvider.open()
const sites = new Map<(typeof LEVELS)[number], Site>()
try {
  for (const level of LEVELS) {
    const own = join(folder, level)
    mkdirSync(own)
    const cage = new Cage(own, provider, { agent: { restart: { enabled: false }, sandbox: { level } } })
    sites.set(level, { cage, folder: own, found: [] })
    await cage.start()
  }
  for (let round = 0; round < rounds; round++) {
    for (const site of sites.values()) site.found.push(await measure(site))
    process.stderr.write('.')
  }
  console.log('\nms a call      p50     p99   processor   to off: p50     p99   processor')
  const of = (level: (typeof LEVELS)[number], figure: keyof Figures) =>
    median(sites.get(level)!.found.map((found) => found[figure]))
  for (const level of LEVELS) {
    const own = FIGURES.map((figure) => of(level, figure))
    const ratios = FIGURES.map((figure, index) => own[index]! / of('off', figure))
    const cells = [...own, ...ratios].map((value, index) => value.toFixed(2).padStart([8, 8, 12, 14, 8, 12][index]!))
    console.log(level.padEnd(10) + cells.join(''))
  }
} finally {
  for (const { cage } of sites.values()) await cage.close()
  await provider.close()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}
