/** The agent that is watched: waits for BENCH_GO, prints 50 lines and makes 20 calls a second, writes what each took. */
import { existsSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

const { BENCH_GO, BENCH_RESULT, BENCH_SECONDS, OPENAI_BASE_URL } = process.env
const LINE_EVERY_MS = 20
const CALL_EVERY_MS = 50

const body = JSON.stringify({
  model: 'gpt-4o-mini',
  max_tokens: 50,
  messages: [{ role: 'user', content: 'How is it going?' }],
})

async function call(): Promise<number> {
  const startedAt = performance.now()
  const headers = { 'content-type': 'application/json', authorization: 'Bearer bench' }
  const answer = await fetch(`${OPENAI_BASE_URL}/chat/completions`, { method: 'POST', headers, body })
  await answer.arrayBuffer()
  if (answer.status !== 200) throw new Error(`answered ${answer.status}`)
  return performance.now() - startedAt
}

while (!existsSync(BENCH_GO!)) await wait(50)
for (let warm = 0; warm < 20; warm++) await call()
let line = 0
const printing = setInterval(() => console.log(`line ${++line} of the agent's own output`), LINE_EVERY_MS)
const times: number[] = []
for (const endsAt = performance.now() + Number(BENCH_SECONDS) * 1000; performance.now() < endsAt; ) {
  const [took] = await Promise.all([call(), wait(CALL_EVERY_MS)])
  times.push(took)
}
clearInterval(printing)
writeFileSync(BENCH_RESULT!, JSON.stringify(times))
// Watched to the end: the figures of the server are read while it lives.
await wait(500)
