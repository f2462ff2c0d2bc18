/**
 * The effect of one caller's large or odd bodies on all others, on the built program: each is sent once a second, first
 * to the server, then through a bare Node pipe that only moves the bytes (the control: the cost of the machine itself).
 * For each the longest time in which the health got no answer, the p99 of another caller's calls as a multiple of calm,
 * and the server's memory once it is back at that of before, and how long that took. Exits 1 when the health had no
 * answer for longer than MAX_STALL_MS, and for longer than through the pipe.
 *
 *   node scripts/soak/large-bodies.ts [seconds of each, 8] [part of the name]
 */
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { FakeProvider } from '../../test/support/provider.ts'
import { Cage } from './cage.ts'
import type { Order } from './large-bodies/attacker.ts'
import { ATTACKS, OK } from './large-bodies/bodies.ts'
import type { Target, Waits } from './large-bodies/callers.ts'

const CALM_MS = 10_000
/** The program's promises. */
const MAX_STALL_MS = 50
/** Memory is back when it is at most this multiple of calm. */
const MAX_MEMORY = 1.2
/** V8 keeps freed pages for 8 s, the tokenizer's thread ends after 10 s. */
const MAX_SETTLE_S = 25

const [seconds = '8', part = ''] = process.argv.slice(2)
const file = (name: string): string => join(import.meta.dirname, 'large-bodies', name)
const message = async <T>(from: ChildProcess | Worker): Promise<T> => (await once(from, 'message'))[0] as T

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-bodies-'))
const provider = createServer((request, response) => {
  request.resume().once('end', () => response.setHeader('content-type', 'application/json').end(OK))
}).listen(0, '127.0.0.1')
await once(provider, 'listening')
const { port } = provider.address() as AddressInfo
const attacker = spawn('nice', ['-n', '19', process.execPath, file('attacker.ts')], {
  stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
})
const attackedPort = await message<number>(attacker)
const pipe = fork(file('pipe.ts'))
const pipePort = await message<number>(pipe)

const cage = new Cage(folder, { url: `http://127.0.0.1:${port}` } as FakeProvider, {
  budget: { clamp_max_tokens: false },
  providers: { attacked: { base_url: `http://127.0.0.1:${attackedPort}/v1`, dialect: 'openai', retries: 0 } },
})
await cage.start()
await cage.api('POST', '/api/models/attacked/trust', {})
const { token } = (await cage.api('POST', '/api/tokens', { name: 'attacker', budget_usd: '9000000' })) as {
  token: string
}
const callers = new Worker(file('callers.ts'), { workerData: { token: cage.callToken } })

/** Ends the calls so far and begins those of the next target. */
async function turnTo(target: Target | undefined): Promise<Waits> {
  callers.postMessage(target)
  return message<Waits>(callers)
}

const sorted = (times: number[]): number[] => times.sort((a, b) => a - b)
const p99 = (times: number[]): number => sorted(times)[Math.floor(times.length * 0.99)] ?? Number.NaN
const longest = (times: number[]): number => sorted(times).at(-1) ?? Number.NaN
const rssMb = (): number =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cage.pid}/status`, 'utf8'))![1]) / 1024)

/** Who is asked: the server, or the pipe. */
interface Subject extends Target {
  attackUrl: string
}

const CHAT = '/v1/chat/completions'
const SERVER: Subject = {
  healthUrl: `${cage.url}/api/health`,
  callUrl: `${cage.url}/gateway/openai${CHAT}`,
  attackUrl: `${cage.url}/gateway/attacked${CHAT}`,
}
const PIPE: Subject = {
  healthUrl: `http://127.0.0.1:${pipePort}/health`,
  callUrl: `http://127.0.0.1:${pipePort}/${port}${CHAT}`,
  attackUrl: `http://127.0.0.1:${pipePort}/${attackedPort}${CHAT}`,
}

async function calm(subject: Subject): Promise<number> {
  await turnTo(subject)
  await sleep(3_000)
  await turnTo(subject)
  await sleep(CALM_MS)
  return p99((await turnTo(undefined)).call)
}

async function attack(name: string, subject: Subject, times: number): Promise<{ waits: Waits; statuses: string }> {
  attacker.send({ name, url: subject.attackUrl, token, times } satisfies Order)
  await message(attacker)
  await turnTo(subject)
  const statuses = await message<string>(attacker)
  return { statuses, waits: await turnTo(undefined) }
}

/** Waits until the memory is back. */
async function settled(calmMb: number): Promise<string> {
  for (let after = 1; ; after++) {
    await sleep(1_000)
    const mb = rssMb()
    if (mb <= calmMb * MAX_MEMORY || after === MAX_SETTLE_S) return `${mb} MB after ${after} s`
  }
}

const calmMs = { server: await calm(SERVER), pipe: await calm(PIPE) }
const calmMb = rssMb()
console.log(
  `calm: p99 of calls ${calmMs.server.toFixed(1)} ms, through the pipe ${calmMs.pipe.toFixed(1)} ms; ${calmMb} MB\n`,
)
console.log('| body | status | longest stall | p99 of calls | the same through a pipe | memory |')
console.log('|---|---|---|---|---|---|')

const times = (ms: number, base: number): string => `${ms.toFixed(1)} ms, ${(ms / base).toFixed(1)} × calm`

for (const name of Object.keys(ATTACKS).filter((one) => one.includes(part))) {
  const { waits, statuses } = await attack(name, SERVER, Number(seconds))
  const memory = await settled(calmMb)
  const { waits: piped } = await attack(name, PIPE, Number(seconds))
  const [stallMs, pipedMs] = [longest(waits.health), longest(piped.health)]
  if (stallMs > Math.max(MAX_STALL_MS, pipedMs)) process.exitCode = 1
  const stall = `${stallMs.toFixed(0)} ms (${pipedMs.toFixed(0)})`
  const calls = [times(p99(waits.call), calmMs.server), times(p99(piped.call), calmMs.pipe)]
  console.log(`| ${[name, statuses, stall, ...calls, memory].join(' | ')} |`)
}

await callers.terminate()
attacker.kill()
pipe.kill()
await cage.kill()
provider.close()
provider.closeAllConnections()
rmSync(folder, { recursive: true, force: true })
