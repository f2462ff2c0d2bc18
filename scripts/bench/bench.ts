/**
 * `npm run bench [-- --rounds 5]`: what the cage costs, with everything on: holds, ledger rows, events, redaction, log,
 * live view with a viewer. Beside it a bare Node pipe, on the same provider, in turns within one run; read the ratios.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { WebSocket } from 'ws'

const root = resolve(import.meta.dirname, '../..')
const rounds = process.argv[process.argv.indexOf('--rounds') + 1] ?? ''
const folder = mkdtempSync(join(tmpdir(), 'iron-cage-bench-'))
const children: ChildProcess[] = []

interface Result {
  latencies: Record<'direct' | 'pipe' | 'cage', number[][]>
  rates: Record<'direct' | 'pipe' | 'cage', number[]>
}

try {
  const provider = `http://127.0.0.1:${await firstLine(start('provider.ts'))}`
  const pipe = `http://127.0.0.1:${await firstLine(start('pipe.ts', new URL(provider).port))}`
  console.log('Measuring: direct, bare Node pipe and cage in turns …')
  print(await runCage(provider, pipe))
} finally {
  for (const child of children) child.kill()
  rmSync(folder, { recursive: true, force: true })
}

function start(script: string, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [join(import.meta.dirname, script), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}

async function firstLine(child: ChildProcess): Promise<string> {
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string]
  return line
}

async function runCage(
  provider: string,
  pipe: string,
): Promise<{ result: Result; rss: { idle: number; loaded: number } }> {
  const path = (name: string) => join(folder, name)
  writeFileSync(path('iron-cage.yaml'), `providers: { openai: { base_url: "${provider}/v1" } }\nserver: { port: 0 }\n`)
  const command = [join(root, 'bin/iron-cage.cjs'), 'start', join(import.meta.dirname, 'load.ts'), '--budget', '100000']
  const cage = spawn(process.execPath, command, {
    cwd: folder,
    env: {
      ...process.env,
      BENCH_DIRECT: provider,
      BENCH_PIPE: pipe,
      BENCH_ROUNDS: /^\d+$/.test(rounds) ? rounds : '5',
      BENCH_RESULT: path('result.json'),
    },
    // Every call prints a line, as it does for a user; a file reads it without a share of our two cores.
    stdio: ['ignore', openSync(path('terminal.txt'), 'w'), 'inherit'],
  })
  children.push(cage)
  const ended = once(cage, 'exit')
  await watch(path('iron_state.db.server'))
  const idle = residentMb(cage.pid!)
  let loaded = idle
  const sampling = setInterval(() => {
    loaded = Math.max(loaded, residentMb(cage.pid!) || 0)
  }, 500)
  await ended
  clearInterval(sampling)
  return { result: JSON.parse(readFileSync(path('result.json'), 'utf8')) as Result, rss: { idle, loaded } }
}

/** A dashboard that watches, as in real life. */
async function watch(serverFile: string): Promise<void> {
  let server = { url: '', token: '' }
  for (const startedAt = Date.now(); !server.url; await setTimeout(20)) {
    if (Date.now() - startedAt > 10_000) throw new Error('the cage did not start')
    if (existsSync(serverFile)) server = JSON.parse(readFileSync(serverFile, 'utf8')) as typeof server
  }
  const headers = { authorization: `Bearer ${server.token}` }
  const answer = await fetch(`${server.url}/api/auth/ws-ticket`, { method: 'POST', headers })
  const { ticket } = (await answer.json()) as { ticket: string }
  new WebSocket(`${server.url.replace('http', 'ws')}/ws?ticket=${ticket}`).on('error', () => {})
}

/** Resident memory, on Linux; NaN when the process has ended. */
function residentMb(pid: number): number {
  try {
    return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) / 1024
  } catch {
    return Number.NaN
  }
}

function print({ result: { latencies, rates }, rss }: Awaited<ReturnType<typeof runCage>>): void {
  const quantile = (values: number[], share: number) =>
    [...values].sort((a, b) => a - b)[Math.floor(values.length * share)]!
  const median = (values: number[]) => quantile(values, 0.5)
  const added = (target: 'pipe' | 'cage', share: number) =>
    median(latencies[target].map((times, round) => quantile(times, share) - quantile(latencies.direct[round]!, share)))
  const row = (name: string, pipe: string, cage: string, ratio = '') =>
    console.log(name.padEnd(34) + pipe.padStart(12) + cage.padStart(12) + ratio.padStart(14))
  const ratio = median(rates.cage.map((rate, round) => rate / rates.pipe[round]!))
  console.log()
  row('', 'bare pipe', 'Iron Cage', 'cage / pipe')
  row('requests/s at 10 connections', median(rates.pipe).toFixed(0), median(rates.cage).toFixed(0), ratio.toFixed(2))
  row('added p50 (ms, one at a time)', added('pipe', 0.5).toFixed(2), added('cage', 0.5).toFixed(2))
  row('added p99 (ms, one at a time)', added('pipe', 0.99).toFixed(2), added('cage', 0.99).toFixed(2))
  row('memory, idle → loaded (MB)', '', `${rss.idle.toFixed(0)} → ${rss.loaded.toFixed(0)}`)
  console.log(
    `\nmedians of ${rates.cage.length} rounds; direct: ${median(rates.direct).toFixed(0)} requests/s, p50 ${median(latencies.direct.flat()).toFixed(2)} ms; Node ${process.version}`,
  )
}
