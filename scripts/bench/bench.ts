/**
 * `npm run bench [-- flags]`: the cost of the cage, with everything on: holds, ledger rows, events, redaction, log,
 * live view with a viewer. Beside it a bare Node pipe, the least that a gateway can do (`ideal.ts`), and the gateways
 * of `install-peers.sh`, on the same provider, in turns within one run; read the ratios. Progress goes to stderr, the
 * table to stdout.
 *
 *   --rounds 5        how often each part is measured; the table shows medians
 *   --parts a,b       only these of: start, sequential, calls 1k, calls 100k, streams 1, streams 32, streams 128, streams 256
 *   --tls             the provider speaks HTTPS, as those that users call
 *   --json            the figures of every round in place of the table
 *   --memory 1000000  in place of the parts: the cage's memory over so many calls, at every twentieth of them
 *   --profile         in place of the parts: where the server's processor time goes, in microseconds a call, beside the
 *                     ideal gateway and one that only forwards; of `calls 1k`, or of the one part in --parts
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { WebSocket } from 'ws'
import { type Figures, median, type Plan, type Results, type Target } from './figures.ts'
import { startPeers } from './peers.ts'
import { type Profiled, profileParts, profileTable } from './profile.ts'

const root = resolve(import.meta.dirname, '../..')
const program = join(root, 'bin/iron-cage.cjs')
const PARTS = ['sequential', 'calls 1k', 'calls 100k', 'streams 1', 'streams 32', 'streams 128', 'streams 256']
const STARTS = 10

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    parts: { type: 'string', default: ['start', ...PARTS].join() },
    tls: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    memory: { type: 'string' },
    profile: { type: 'boolean', default: false },
  },
})
const wanted = flags.parts.split(',')
/** A row of the table: a figure of a part, and whether the direct call's is taken off. */
const ROWS: [name: string, part: string, figure: string, digits: number, added?: 'added'][] = [
  ['added p50, one at a time (ms)', 'sequential', 'p50', 2, 'added'],
  ['added p99, one at a time (ms)', 'sequential', 'p99', 2, 'added'],
  ...['1k', '100k'].flatMap((size): typeof ROWS => [
    [`requests/s at 10 connections, ${size}`, `calls ${size}`, 'rate', 0],
    ['  processor time a call (ms)', `calls ${size}`, 'cpuMs', 2],
  ]),
  ...[1, 32, 128, 256].flatMap((count): typeof ROWS => [
    [`${count} streams: first token added p50 (ms)`, `streams ${count}`, 'p50', 2, 'added'],
    ['  first token added p99 (ms)', `streams ${count}`, 'p99', 2, 'added'],
    ['  longest stall (ms)', `streams ${count}`, 'stall', 0],
    ['  processor time a stream (ms)', `streams ${count}`, 'cpuMs', 1],
  ]),
  ['memory, idle (MB)', 'rss', 'idle', 0],
  ['memory, under load (MB)', 'rss', 'loaded', 0],
  ['ready to listen after (ms)', 'start', 'ready', 0],
]

const unknown = wanted.filter((part) => part !== 'start' && !PARTS.includes(part))
if (unknown.length > 0) throw new Error(`no such part: ${unknown.join()}; there are start, ${PARTS.join(', ')}`)

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-bench-'))
/** All processes trust the provider's certificate: Node's, and with the second name Python's. */
const certificate = join(root, 'test/support/tls/cert.pem')
if (flags.tls) Object.assign(process.env, { NODE_EXTRA_CA_CERTS: certificate, SSL_CERT_FILE: certificate })
const children: ChildProcess[] = []

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    for (const child of children) child.kill()
    process.exit(1)
  })
}

try {
  const provider = await startProvider()
  const plan = (targets: Target[], parts: string[]): Plan => ({ targets, parts, rounds: Number(flags.rounds) })
  if (flags.profile) {
    await profileAll(provider, plan)
  } else if (flags.memory) {
    const results = await runCage(provider.origin, { ...plan([], []), memoryCalls: Number(flags.memory) })
    const rows = results.memory!.cage!.map(({ calls, rss }) => `${calls}`.padStart(10) + rss!.toFixed(0).padStart(8))
    console.log(flags.json ? JSON.stringify(results) : ['     calls      MB', ...rows].join('\n'))
  } else {
    await measureAll(provider)
  }
} finally {
  for (const child of children) child.kill()
  rmSync(folder, { recursive: true, force: true })
}

async function profileAll(provider: Listening, plan: (targets: Target[], parts: string[]) => Plan): Promise<void> {
  const flagsFor = (name: string) => ['--cpu-prof', `--cpu-prof-dir=${join(folder, `profile-${name}`)}`]
  const ideal = await listening([...flagsFor('ideal'), 'ideal.ts'], provider.origin, join(folder, 'profiled.db'))
  const forward = await listening([...flagsFor('forward'), 'ideal.ts'], provider.origin)
  const part = wanted.length === 1 ? wanted[0]! : 'calls 1k'
  const targets = [
    { name: 'ideal', ...ideal },
    { name: 'forward', ...forward },
  ]
  const results = await runCage(provider.origin, plan(targets, [part]), flagsFor('cage'))
  for (const child of children) child.kill()
  await Promise.all(
    children.map((child) => child.exitCode === null && child.signalCode === null && once(child, 'exit')),
  )
  const profiled = (name: string): Profiled => {
    const measured = results[part]![name]!
    const of = (figure: string) => median(measured.map((figures) => figures[figure]!))
    const file = join(folder, `profile-${name}`, readdirSync(join(folder, `profile-${name}`))[0]!)
    const parts = profileParts(file, results.load!.cage![0]!.began!)
    return { name, parts, mainMs: of('mainMs'), otherMs: of('cpuMs') - of('mainMs') }
  }
  console.log(profileTable([profiled('cage'), profiled('ideal'), profiled('forward')]))
}

async function measureAll(provider: Listening): Promise<void> {
  const pipe = await listening(['pipe.ts'], provider.origin)
  const ideal = await listening(['ideal.ts'], provider.origin, join(folder, 'ideal.db'))
  const peers = await startPeers(provider.origin, folder, children)
  const targets: Target[] = [
    { name: 'direct', ...provider },
    { name: 'pipe', ...pipe },
    { name: 'ideal', ...ideal },
    ...peers.map(({ name, pid, url, headers }) => ({ name, pid, url, headers })),
  ]
  const parts = PARTS.filter((part) => wanted.includes(part))
  const results =
    parts.length > 0 ? await runCage(provider.origin, { ...{ targets, parts }, rounds: Number(flags.rounds) }) : {}
  if (wanted.includes('start')) {
    results.start = { cage: [{ ready: await medianStart() }] }
    for (const { name, readyMs } of peers) results.start[name] = [{ ready: readyMs }]
  }
  if (flags.json) console.log(JSON.stringify(results))
  else printTable(results, [...targets.slice(1).map(({ name }) => name), 'cage'])
}

interface Listening extends Omit<Target, 'name'> {
  origin: string
}

/** Starts one of the scripts beside this one, which comes last in `command`; it prints its port. */
async function listening(command: string[], ...args: string[]): Promise<Listening> {
  const script = join(import.meta.dirname, command.at(-1)!)
  const child = spawn(process.execPath, [...command.slice(0, -1), script, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const [port] = (await once(createInterface(child.stdout!), 'line')) as [string]
  const origin = `http://127.0.0.1:${port}`
  return { pid: child.pid!, origin, url: `${origin}/v1/chat/completions`, headers: {} }
}

async function startProvider(): Promise<Listening> {
  if (!flags.tls) return listening(['provider.ts'])
  const { pid, origin } = await listening(['provider.ts'], 'tls')
  const secure = `https://localhost:${new URL(origin).port}`
  return { pid, origin: secure, url: `${secure}/v1/chat/completions`, headers: {} }
}

/** Runs the load in the cage and returns its measurements. */
async function runCage(provider: string, plan: Plan, nodeFlags: string[] = []): Promise<Results> {
  const path = (name: string) => join(folder, name)
  writeFileSync(path('iron-cage.yaml'), `providers: { openai: { base_url: "${provider}/v1" } }\nserver: { port: 0 }\n`)
  const load = join(import.meta.dirname, 'load.ts')
  const serverFile = path('iron_state.db.server')
  const cage = spawn(
    process.execPath,
    [...nodeFlags, program, 'start', load, '--budget', '100000', '--no-restart', '--sandbox', 'off'],
    {
      cwd: folder,
      env: {
        ...process.env,
        BENCH_PLAN: JSON.stringify(plan),
        BENCH_PROGRESS: path('progress.txt'),
        BENCH_RESULT: path('result.json'),
        BENCH_SERVER_FILE: serverFile,
      },
      // Every call prints a line, as it does for a user; a file reads it without a share of our two cores.
      stdio: ['ignore', openSync(path('terminal.txt'), 'w'), 'inherit'],
    },
  )
  children.push(cage)
  const ended = once(cage, 'exit')
  await watch(await serverOf(serverFile))
  const showing = showGrowing(path('progress.txt'))
  await ended
  clearInterval(showing)
  if (!existsSync(path('result.json')))
    throw new Error(`the load failed: ${readFileSync(path('terminal.txt'), 'utf8')}`)
  return JSON.parse(readFileSync(path('result.json'), 'utf8')) as Results
}

/** Shows lines added to a file on stderr. */
function showGrowing(file: string): NodeJS.Timeout {
  let shown = 0
  return setInterval(() => {
    const text = existsSync(file) ? readFileSync(file, 'utf8') : ''
    process.stderr.write(text.slice(shown))
    shown = text.length
  }, 500)
}

interface ServerAddress {
  url: string
  token: string
}

/** The server's message when it listens. */
async function serverOf(file: string): Promise<ServerAddress> {
  const startedAt = performance.now()
  while (performance.now() - startedAt < 10_000) {
    const server = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8') || '{}') as ServerAddress) : undefined
    if (server?.url) return server
    await delay(2)
  }
  throw new Error('the cage did not start')
}

/** A dashboard that watches, as in real life. */
async function watch(server: ServerAddress): Promise<void> {
  const headers = { authorization: `Bearer ${server.token}` }
  const answer = await fetch(`${server.url}/api/auth/ws-ticket`, { method: 'POST', headers })
  const { ticket } = (await answer.json()) as { ticket: string }
  new WebSocket(`${server.url.replace('http', 'ws')}/ws?ticket=${ticket}`).on('error', () => {})
}

/** From the start of the program until its server has answered, in milliseconds. */
async function medianStart(): Promise<number> {
  const times: number[] = []
  for (let start = 0; start < STARTS; start++) {
    const cwd = mkdtempSync(join(folder, 'start-'))
    const startedAt = performance.now()
    const server = spawn(process.execPath, [program, 'serve', '--port', '0'], { cwd, stdio: 'ignore' })
    children.push(server)
    const ended = once(server, 'exit')
    await fetch((await serverOf(join(cwd, 'iron_state.db.server'))).url)
    times.push(performance.now() - startedAt)
    server.kill()
    await ended
  }
  return median(times)
}

function printTable(results: Results, names: string[]): void {
  const print = (name: string, cells: string[]) =>
    console.log(name.padEnd(42) + cells.map((cell) => cell.padStart(12)).join(''))
  const others = names.slice(0, -1)
  print('', [...names, ...others.map((name) => `cage/${name}`)])
  for (const [name, part, figure, digits, added] of ROWS) {
    const measured = results[part]
    if (!measured) continue
    // Ratio and difference are taken within a round; the table shows the median over the rounds.
    const value = (target: string, round: number) => {
      const own = measured[target]?.[round]?.[figure] ?? Number.NaN
      return added ? own - measured.direct![round]![figure]! : own
    }
    const rounds = (target: string) => measured[target] ?? ([] as Figures[])
    const over = (target: string, figureOf: (round: number) => number) =>
      median(rounds(target).map((_, round) => figureOf(round)))
    const cell = (number: number, places: number) => (Number.isNaN(number) ? '' : number.toFixed(places))
    print(name, [
      ...names.map((target) =>
        cell(
          over(target, (round) => value(target, round)),
          digits,
        ),
      ),
      ...others.map((target) =>
        cell(
          over(target, (round) => value('cage', round) / value(target, round)),
          2,
        ),
      ),
    ])
  }
  console.log(`\nmedians of ${flags.rounds} rounds; Node ${process.version}`)
}
