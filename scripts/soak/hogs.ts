/**
 * node scripts/soak/hogs.ts [seconds of each, 6] [rounds, 3] [processor|processes|memory|disk …]: needs a build. Beside
 * an agent that calls fifty times a second another one uses up the processor, processes, memory or the disk; in turns
 * with calm before and after, behind walls of level standard and without any. Prints p50 and p99 of the calls of all
 * rounds, the ratio of p99 to calm, that of each round, and how the other one ended. Exits 1 when p99 behind walls is
 * above MAX_RATIO times calm, unless this machine has no control groups. Only a quiet machine is conclusive: the load
 * at the beginning is printed.
 */
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, loadavg, tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CONTROLLER, explainMachine } from '../../src/sandbox/machine.ts'
import { findTrustedPython } from '../../src/sandbox/trusted-program.ts'
import { FakeProvider } from '../../test/support/provider.ts'
import { quantile } from '../bench/figures.ts'
import { Cage } from './cage.ts'

const HOGS = ['processor', 'processes', 'memory', 'disk'] as const
const LIMITS = { memory_mb: 1500, processes: 100, file_mb: 64 }
const MAX_RATIO = 1.5
/** Until an agent runs at full speed, in ms. */
const WARM_MS = 1_500

/** A hog ends by itself, late on a busy machine. */
const MAX_END_MS = 30_000

const [seconds = 6, rounds = 3] = process.argv.slice(2, 4).map(Number)
const named = process.argv.slice(4)
const program = (name: string) => resolve(import.meta.dirname, 'agents', name)

interface Agent {
  id: string
  state: string
  reason: string | null
}

interface Round {
  /** The times of calls, in ms. */
  calm: number[]
  busy: number[]
  /** The other agent's last line, and how it ended. */
  said: string
}

/** The times of calls that ended between two times. */
const between = (file: string, from: number, until: number): number[] =>
  readFileSync(file, 'utf8')
    .split('\n')
    .map((line) => line.split(' ').map(Number) as [number, number])
    .filter(([at]) => at >= from && at < until)
    .map(([, ms]) => ms)

async function measure(folder: string, file: string, share = 1): Promise<number[]> {
  const from = Date.now()
  await sleep(seconds * 1_000 * share)
  return between(join(folder, file), from, Date.now())
}

/** Returns the largest ratio of p99. */
async function run(level: 'standard' | 'off', provider: FakeProvider): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-hogs-'))
  const work = join(folder, 'work')
  mkdirSync(work)
  const sandbox = { level, ...(level === 'off' ? {} : { limits: LIMITS }) }
  const agent = { restart: { enabled: false }, stop_grace_s: 1, sandbox }
  const cage = new Cage(folder, provider, { agent })
  const start = async (script: string, args: string[]): Promise<Agent> =>
    (await cage.api('POST', '/api/agents', { script, args, cwd: work, budget_usd: '100000' })).agent as Agent
  const besideHog = async (hog: string): Promise<Round> => {
    const before = await measure(work, 'times', 0.5)
    const { id } = await start(program('hog.py'), [hog, String(seconds + (2 * WARM_MS) / 1_000)])
    await sleep(WARM_MS)
    const busy = await measure(work, 'times')
    const isRunning = async () => {
      const { state } = (await cage.api('GET', `/api/agents/${id}/status`)).agent as Agent
      return state === 'running'
    }
    for (const deadline = Date.now() + MAX_END_MS; (await isRunning()) && Date.now() < deadline; ) await sleep(200)
    const [last] = cage.query(`SELECT message FROM events WHERE agent_id = '${id}' ORDER BY seq DESC LIMIT 1`)
    const lines = cage.query(
      `SELECT message FROM events WHERE agent_id = '${id}' AND type = 'agent.output' ORDER BY seq DESC LIMIT 2`,
    )
    const said = [...lines.reverse(), last].map((row) => (row as { message: string }).message).join('; ')
    await sleep(WARM_MS)
    return { calm: [...before, ...(await measure(work, 'times', 0.5))], busy, said }
  }
  let worst = 0
  try {
    await cage.start()
    const caller = await start(program('timed-calls.mjs'), ['times'])
    while (!existsSync(join(work, 'times'))) {
      const { state, reason } = (await cage.api('GET', `/api/agents/${caller.id}/status`)).agent as Agent
      if (reason !== null) throw new Error(`the agent that calls is ${state}: ${reason}`)
      await sleep(100)
    }
    await sleep(WARM_MS)
    for (const hog of HOGS.filter((name) => named.length === 0 || named.includes(name))) {
      const found: Round[] = []
      for (let round = 0; round < rounds; round++) found.push(await besideHog(hog))
      const [calm, busy] = [found.flatMap((round) => round.calm), found.flatMap((round) => round.busy)]
      const ratio = quantile(busy, 0.99) / quantile(calm, 0.99)
      worst = Math.max(worst, ratio)
      const figures = [0.5, 0.99].flatMap((share) => [quantile(calm, share), quantile(busy, share)])
      const cells = [...figures, ratio].map((value) => value.toFixed(2).padStart(9))
      const ofRounds = found.map((round) => (quantile(round.busy, 0.99) / quantile(round.calm, 0.99)).toFixed(1))
      console.log(
        `${level.padEnd(10)}${hog.padEnd(11)}${cells.join('')}   ${ofRounds.join(' ')}   ${found.at(-1)!.said}`,
      )
    }
  } finally {
    await cage.close()
    // Watchdogs end the agents of a killed server.
    await sleep(WARM_MS)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  return worst
}

const python = findTrustedPython(undefined, process.env, [])
if (python === undefined) throw new Error('there is no python3')
const { groups } = await explainMachine(python, process.env as Record<string, string>)
const provider = await FakeProvider.open()
try {
  const machine = `${availableParallelism()} processors, load ${loadavg()[0]!.toFixed(1)}`
  console.log(`${machine}, user ${process.getuid?.()}, control groups: ${groups.join(', ') || 'none'}`)
  console.log(`${rounds} rounds of ${seconds} s; p50 and p99 of calls in ms; limits ${JSON.stringify(LIMITS)}`)
  console.log('level     hog         p50 calm p50 busy p99 calm p99 busy    ratio   of rounds; the hog ended')
  const worst = await run('standard', provider)
  await run('off', provider)
  if (groups.length === CONTROLLER.options.length && worst > MAX_RATIO) process.exitCode = 1
} finally {
  await provider.close()
}
