/**
 * The load, run as a caged agent: the same calls go to the provider itself, through the bare pipe and through the cage,
 * in turns, so that a machine whose speed drifts slows all three alike. Writes its figures to BENCH_RESULT.
 */
import { writeFileSync } from 'node:fs'
import { Agent, request } from 'undici'

const { BENCH_DIRECT, BENCH_PIPE, BENCH_RESULT, BENCH_ROUNDS, OPENAI_BASE_URL } = process.env
const targets = {
  direct: `${BENCH_DIRECT}/v1/chat/completions`,
  pipe: `${BENCH_PIPE}/v1/chat/completions`,
  cage: `${OPENAI_BASE_URL}/chat/completions`,
}
type Target = keyof typeof targets
const names = Object.keys(targets) as Target[]

const SEQUENTIAL_CALLS = 400
const PARALLEL_MS = 2_000
const CONNECTIONS = 10

const body = JSON.stringify({
  model: 'gpt-4o-mini',
  max_tokens: 200,
  messages: [{ role: 'user', content: 'Summarise the report of the last quarter for the board. '.repeat(16) }],
})

const dispatcher = new Agent({ connections: CONNECTIONS, pipelining: 1 })

async function call(target: Target): Promise<number> {
  const startedAt = performance.now()
  const answer = await request(targets[target], {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer bench' },
    body,
    dispatcher,
  })
  await answer.body.arrayBuffer()
  if (answer.statusCode !== 200) throw new Error(`${target} answered ${answer.statusCode}`)
  return performance.now() - startedAt
}

async function sequential(target: Target): Promise<number[]> {
  const times: number[] = []
  for (let done = 0; done < SEQUENTIAL_CALLS; done++) times.push(await call(target))
  return times
}

/** Requests a second at CONNECTIONS connections. */
async function parallel(target: Target): Promise<number> {
  const startedAt = performance.now()
  let done = 0
  const worker = async () => {
    while (performance.now() - startedAt < PARALLEL_MS) {
      await call(target)
      done++
    }
  }
  await Promise.all(Array.from({ length: CONNECTIONS }, worker))
  return done / ((performance.now() - startedAt) / 1000)
}

const each = <T>(make: () => T): Record<Target, T> => ({ direct: make(), pipe: make(), cage: make() })
const latencies = each<number[][]>(() => [])
const rates = each<number[]>(() => [])

for (const target of names) await sequential(target)
for (let round = 0; round < Number(BENCH_ROUNDS); round++) {
  for (const target of names) latencies[target].push(await sequential(target))
  for (const target of names) rates[target].push(await parallel(target))
}
writeFileSync(BENCH_RESULT!, JSON.stringify({ latencies, rates }))
