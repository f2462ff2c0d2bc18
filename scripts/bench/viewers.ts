/**
 * `node scripts/bench/viewers.ts [--viewers 0,100,1000] [--seconds 15]`: what people who watch cost. An agent prints
 * fifty lines a second and makes twenty calls a second; so many dashboards follow it. Printed for each: how long after
 * an event a viewer has it, the server's processor time and memory, and the times of the agent's calls beside those
 * without viewers.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { WebSocket } from 'ws'

const root = resolve(import.meta.dirname, '../..')
const { values } = parseArgs({
  options: {
    viewers: { type: 'string', default: '0,100,1000' },
    seconds: { type: 'string', default: '15' },
  },
})
/** Viewers that read the frames they get; the others only take them, so that the clock of this process stays true. */
const READERS = 10
/** Of Linux's process table. */
const TICKS_A_SECOND = 100

interface Server {
  url: string
  token: string
  pid: number
}

const children: ChildProcess[] = []
try {
  const provider = start(['scripts/bench/provider.ts'])
  const [port] = (await once(createInterface(provider.stdout!), 'line')) as [string]
  console.log('viewers   event → viewer p50   p99   processor   memory   calls p50    p99')
  for (const count of values.viewers.split(',').map(Number)) console.log(await measure(count, port))
} finally {
  for (const child of children) child.kill()
}

async function measure(count: number, port: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'iron-cage-viewers-'))
  const path = (name: string) => join(folder, name)
  writeFileSync(
    path('iron-cage.yaml'),
    `providers: { openai: { base_url: "http://127.0.0.1:${port}/v1" } }\nserver: { port: 0 }\n`,
  )
  const cage = start(
    ['bin/iron-cage.cjs', 'start', join(import.meta.dirname, 'watched-agent.ts'), '--budget', '1000'],
    {
      cwd: folder,
      output: path('terminal.txt'),
      env: { BENCH_GO: path('go'), BENCH_RESULT: path('result.json'), BENCH_SECONDS: values.seconds },
    },
  )
  const ended = once(cage, 'exit')
  const server = await serverOf(path('iron_state.db.server'))
  const delays: number[] = []
  const sockets = await Promise.all(
    Array.from({ length: count }, (_, n) => openViewer(server, n < READERS ? delays : undefined)),
  )
  await wait(1_000)
  delays.length = 0
  const before = processorMs(server.pid)
  const began = performance.now()
  writeFileSync(path('go'), '')
  const memory = { mb: 0 }
  const sampling = setInterval(() => (memory.mb = Math.max(memory.mb, residentMb(server.pid))), 500)
  while (!existsSync(path('result.json'))) await wait(50)
  const share = (processorMs(server.pid) - before) / (performance.now() - began)
  clearInterval(sampling)
  for (const socket of sockets) socket.terminate()
  await ended
  const calls = JSON.parse(readFileSync(path('result.json'), 'utf8')) as number[]
  rmSync(folder, { recursive: true, force: true })
  const ms = (times: number[], at: number) => (times.length > 0 ? `${quantile(times, at).toFixed(1)} ms` : '–')
  return [
    String(count).padEnd(10),
    ms(delays, 0.5).padStart(18),
    ms(delays, 0.99).padStart(9),
    `${(share * 100).toFixed(0)} %`.padStart(10),
    `${memory.mb.toFixed(0)} MB`.padStart(9),
    ms(calls, 0.5).padStart(10),
    ms(calls, 0.99).padStart(9),
  ].join('')
}

function start(
  [script, ...args]: string[],
  { cwd = root, env = {}, output }: { cwd?: string; env?: Record<string, string>; output?: string } = {},
): ChildProcess {
  const child = spawn(process.execPath, [join(root, script!), ...args], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', output ? openSync(output, 'w') : 'pipe', 'inherit'],
  })
  children.push(child)
  return child
}

async function serverOf(file: string): Promise<Server> {
  for (let tries = 0; tries < 500; tries++, await wait(20)) {
    const server = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8') || '{}') as Server) : undefined
    if (server?.url) return server
  }
  throw new Error('the cage did not start')
}

/** `delays`: gets, for each event, ms from its time to its arrival here. */
async function openViewer({ url, token }: Server, delays: number[] | undefined): Promise<WebSocket> {
  const answer = await fetch(`${url}/api/auth/ws-ticket`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
  })
  const { ticket } = (await answer.json()) as { ticket: string }
  const socket = new WebSocket(`${url.replace('http', 'ws')}/ws?ticket=${ticket}`)
  await once(socket, 'open')
  if (delays) {
    socket.on('message', (data: Buffer) => {
      const now = Date.now()
      const { events = [] } = JSON.parse(data.toString()) as { events?: { at: string }[] }
      for (const { at } of events) delays.push(now - Date.parse(at))
    })
  }
  return socket
}

function processorMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ')
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND) * 1000
}

function residentMb(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024
}

function quantile(all: number[], share: number): number {
  return [...all].sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * share))]!
}
