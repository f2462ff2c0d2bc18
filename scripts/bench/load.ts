/**
 * The load, run as a caged agent: the same calls go to the provider itself, through the bare pipe, through the cage and
 * through what else there is, in turns, so that a machine whose speed drifts slows all alike. Writes its figures to
 * BENCH_RESULT.
 */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'undici'
import { cpuSeconds, type Figures, type Plan, quantile, type Results, residentMb, type Target } from './figures.ts'

const { BENCH_PLAN, BENCH_PROGRESS, BENCH_RESULT, BENCH_SERVER_FILE, OPENAI_BASE_URL } = process.env
const plan = JSON.parse(BENCH_PLAN!) as Plan
const { pid } = JSON.parse(readFileSync(BENCH_SERVER_FILE!, 'utf8')) as { pid: number }
const cage: Target = { name: 'cage', pid, url: `${OPENAI_BASE_URL}/chat/completions`, headers: {} }
const targets = [...plan.targets, cage]

const SEQUENTIAL_CALLS = 300
const PARALLEL_MS = 2_000
const CONNECTIONS = 10
const WARM_CALLS = 10_000
const MAX_WARM_MS = 15_000
/** So many waves of streams in a round: the fewer at once, the more. */
const wavesOf = (streams: number) => (streams === 1 ? 3 : 1)

const SENTENCE = 'Summarise the report of the last quarter for the board. '
const bodyOf = (length: number, stream = false) =>
  JSON.stringify({
    model: 'gpt-4o-mini',
    max_tokens: 200,
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
    messages: [{ role: 'user', content: SENTENCE.repeat(Math.round(length / SENTENCE.length)) }],
  })
const BODIES = { '1k': bodyOf(1_000), '100k': bodyOf(100_000) }
const STREAM_BODY = bodyOf(1_000, true)

const calls = new Agent({ connections: CONNECTIONS, pipelining: 1 })
const streams = new Agent({ pipelining: 1, headersTimeout: 60_000 })

async function post(target: Target, body: string, dispatcher: Agent) {
  const headers = { 'content-type': 'application/json', authorization: 'Bearer bench', ...target.headers }
  const answer = await request(target.url, { method: 'POST', headers, body, dispatcher })
  if (answer.statusCode === 200) return answer.body
  throw new Error(`${target.name} answered ${answer.statusCode}: ${(await answer.body.text()).slice(0, 300)}`)
}

async function call(target: Target, body: string): Promise<number> {
  const startedAt = performance.now()
  await (await post(target, body, calls)).arrayBuffer()
  return performance.now() - startedAt
}

/** Calls at CONNECTIONS connections while `goesOn` is true, and their number. */
async function parallel(target: Target, body: string, goesOn: (done: number) => boolean): Promise<number> {
  let begun = 0
  const worker = async () => {
    while (goesOn(begun)) {
      begun++
      await call(target, body)
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  return begun
}

async function sequential(target: Target): Promise<Figures> {
  const times: number[] = []
  for (let done = 0; done < SEQUENTIAL_CALLS; done++) times.push(await call(target, BODIES['1k']))
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) }
}

/** Requests a second, and the processor's milliseconds for each, in all and in the main thread. */
async function throughput(target: Target, body: string): Promise<Figures> {
  const cpu = cpuSeconds(target.pid)
  const main = cpuSeconds(target.pid, 'main')
  const startedAt = performance.now()
  const done = await parallel(target, body, () => performance.now() - startedAt < PARALLEL_MS)
  return {
    rate: done / ((performance.now() - startedAt) / 1000),
    cpuMs: ((cpuSeconds(target.pid) - cpu) * 1000) / done,
    mainMs: ((cpuSeconds(target.pid, 'main') - main) * 1000) / done,
  }
}

/** One stream: when its first piece came, and its longest silence after that. */
async function stream(target: Target): Promise<{ first: number; stall: number }> {
  const startedAt = performance.now()
  let first = 0
  let before = 0
  let stall = 0
  for await (const _ of await post(target, STREAM_BODY, streams)) {
    const now = performance.now()
    if (first === 0) first = now - startedAt
    else stall = Math.max(stall, now - before)
    before = now
  }
  return { first, stall }
}

async function streaming(target: Target, count: number): Promise<Figures> {
  const cpu = cpuSeconds(target.pid)
  const all: { first: number; stall: number }[] = []
  const waves = wavesOf(count)
  for (let wave = 0; wave < waves; wave++) {
    all.push(...(await Promise.all(Array.from({ length: count }, () => stream(target)))))
  }
  const firsts = all.map(({ first }) => first)
  return {
    p50: quantile(firsts, 0.5),
    p99: quantile(firsts, 0.99),
    stall: Math.max(...all.map(({ stall }) => stall)),
    cpuMs: ((cpuSeconds(target.pid) - cpu) * 1000) / all.length,
  }
}

/** Through a file: an agent's output goes into the cage's log. */
function tell(progress: string): void {
  appendFileSync(BENCH_PROGRESS!, `${progress}\n`)
}

function measure(part: string, target: Target): Promise<Figures> {
  const [kind, size = ''] = part.split(' ')
  if (kind === 'sequential') return sequential(target)
  return kind === 'calls' ? throughput(target, BODIES[size as keyof typeof BODIES]) : streaming(target, Number(size))
}

/** A server runs for days: V8 compiles during the first calls, which is not part of a call. */
async function warmUp(target: Target): Promise<void> {
  const startedAt = performance.now()
  const goesOn = (done: number) => done < WARM_CALLS && performance.now() - startedAt < MAX_WARM_MS
  await parallel(target, BODIES['1k'], goesOn)
  if (plan.parts.some((part) => part.startsWith('streams'))) await streaming(target, 8).catch(() => undefined)
}

async function interleaved(): Promise<Results> {
  const results: Results = {}
  for (const target of targets) {
    tell(`warming up ${target.name}`)
    await warmUp(target)
  }
  // The clock of a profile: earlier calls belong to the start.
  results.load = { cage: [{ began: Number(process.hrtime.bigint() / 1000n) }] }
  for (let round = 1; round <= plan.rounds; round++)
    for (const part of plan.parts)
      for (const target of targets) {
        tell(`round ${round} of ${plan.rounds}: ${part}, ${target.name}`)
        results[part] ??= {}
        results[part][target.name] ??= []
        const figures = await measure(part, target).catch((error: Error): Figures => {
          // What another gateway cannot do is an empty cell in the table; the cage has to.
          if (target === cage) throw error
          tell(`  ${error.message}`)
          return {}
        })
        results[part][target.name]!.push(figures)
      }
  return results
}

/** The cage's memory over many calls, at every twentieth of them. */
async function overManyCalls(total: number): Promise<Results> {
  const rows: Figures[] = []
  for (let share = 1; share <= 20; share++) {
    await parallel(cage, BODIES['1k'], (done) => done < total / 20)
    rows.push({ calls: (total / 20) * share, rss: residentMb(cage.pid) })
    tell(`${(total / 20) * share} calls: ${residentMb(cage.pid).toFixed(0)} MB`)
  }
  return { memory: { cage: rows } }
}

const idle = targets.map((target) => residentMb(target.pid))
const peak = [...idle]
const sampling = setInterval(() => {
  for (const [index, target] of targets.entries()) peak[index] = Math.max(peak[index]!, residentMb(target.pid))
}, 500)
const results = plan.memoryCalls ? await overManyCalls(plan.memoryCalls) : await interleaved()
clearInterval(sampling)
results.rss = Object.fromEntries(
  targets.map((target, index) => [target.name, [{ idle: idle[index]!, loaded: peak[index]! }]]),
)
writeFileSync(BENCH_RESULT!, JSON.stringify(results))
