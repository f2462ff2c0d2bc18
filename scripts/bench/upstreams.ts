/**
 * node scripts/bench/upstreams.ts [--rounds 5]: the cost of the connection to a provider, without a gateway: plain
 * HTTP/1.1, HTTPS with kept connections (as the gateway uses), and HTTP/2. Each in a separate process, with the pool
 * that the gateway opens, in turns. Prints requests/s and processor time of the caller at ten calls at once, the time
 * of one call at a time, and, for 256 streams that begin at once without an open connection, the time to the first
 * piece.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { type Dispatcher, Pool } from 'undici'
import { type Figures, median, quantile } from './figures.ts'

const { values: flags, positionals } = parseArgs({
  options: { rounds: { type: 'string', default: '5' } },
  allowPositionals: true,
})
const KINDS = ['http', 'https', 'h2'] as const
type Kind = (typeof KINDS)[number]
const CALLS_AT_ONCE = 10
const SEQUENTIAL_CALLS = 300
const PARALLEL_MS = 2_000
const STREAMS = 256
/** As the gateway, and as many streams as Node's HTTP/2 server admits on one connection. */
const CONNECTIONS: Record<Kind, number> = { http: 512, https: 512, h2: 4 }

const message = { role: 'user', content: 'Summarise the report of the last quarter for the board. '.repeat(18) }
const bodyOf = (stream: boolean) => JSON.stringify({ model: 'gpt-4o-mini', stream, messages: [message] })

function openPool(kind: Kind, port: string): Pool {
  const ca = readFileSync(resolve(import.meta.dirname, '../../test/support/tls/cert.pem'), 'utf8')
  const allowH2 = kind === 'h2'
  const origin = `${kind === 'http' ? 'http' : 'https'}://localhost:${port}`
  const pipelining = allowH2 ? 100 : 1
  return new Pool(origin, { connections: CONNECTIONS[kind], pipelining, allowH2, connect: { ca } })
}

const post = (pool: Dispatcher, stream = false) =>
  pool.request({
    path: '/v1/chat/completions',
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: bodyOf(stream),
  })

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

async function firstPiece(pool: Dispatcher): Promise<number> {
  const startedAt = performance.now()
  let first = 0
  for await (const _ of (await post(pool, true)).body) first ||= performance.now() - startedAt
  return first
}

async function measure(kind: Kind, port: string): Promise<Figures> {
  const pool = openPool(kind, port)
  const call = () => timed(async () => (await post(pool)).body.arrayBuffer())
  for (let done = 0; done < SEQUENTIAL_CALLS; done++) await call()
  const times: number[] = []
  for (let done = 0; done < SEQUENTIAL_CALLS; done++) times.push(await call())
  const before = process.cpuUsage()
  const startedAt = performance.now()
  let calls = 0
  const worker = async () => {
    for (; performance.now() - startedAt < PARALLEL_MS; calls++) await call()
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, worker))
  const { user, system } = process.cpuUsage(before)
  const rate = calls / ((performance.now() - startedAt) / 1000)
  await pool.close()
  const cold = openPool(kind, port)
  const firsts = await Promise.all(Array.from({ length: STREAMS }, () => firstPiece(cold)))
  await cold.close()
  return {
    rate,
    cpuUs: (user + system) / calls,
    p50: median(times),
    p99: quantile(times, 0.99),
    cold: quantile(firsts, 0.99),
  }
}

/** Starts a script beside this one and returns the first line that it prints. */
async function lineOf(children: ChildProcess[], script: string, ...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
  return line
}

async function measureAll(): Promise<void> {
  const children: ChildProcess[] = []
  try {
    const ports = { http: await lineOf(children, 'provider.ts'), https: await lineOf(children, 'provider.ts', 'tls') }
    const rounds: Record<Kind, Figures[]> = { http: [], https: [], h2: [] }
    for (let round = 1; round <= Number(flags.rounds); round++) {
      for (const kind of KINDS) {
        console.error(`round ${round} of ${flags.rounds}: ${kind}`)
        const port = kind === 'http' ? ports.http : ports.https
        rounds[kind].push(JSON.parse(await lineOf(children, 'upstreams.ts', kind, port)) as Figures)
      }
    }
    const row = (name: string, cells: string[]) => name.padEnd(44) + cells.map((cell) => cell.padStart(10)).join('')
    console.log(row('', [...KINDS]))
    for (const [figure, name, digits] of [
      ['rate', 'requests/s, 10 at once', 0],
      ['cpuUs', '  processor time of the caller (µs a call)', 0],
      ['p50', 'one at a time, p50 (ms)', 2],
      ['p99', '  p99 (ms)', 2],
      ['cold', '256 streams, cold: first piece, p99 (ms)', 0],
    ] as const) {
      console.log(
        row(
          name,
          KINDS.map((kind) => median(rounds[kind].map((one) => one[figure]!)).toFixed(digits)),
        ),
      )
    }
  } finally {
    for (const child of children) child.kill()
  }
}

if (positionals.length === 0) await measureAll()
else console.log(JSON.stringify(await measure(positionals[0] as Kind, positionals[1]!)))
