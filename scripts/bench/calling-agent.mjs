// An agent that makes the number of calls in its argument, one after the other, once there is a file "go"; and leaves
// in "done" what they took, in ms: p50, p99 and the processor time of each.
import { existsSync, renameSync, writeFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const calls = Number(process.argv[2])
const WARM_CALLS = 300
const body = JSON.stringify({ model: 'penny', max_tokens: 5, messages: [{ role: 'user', content: 'Go.' }] })
const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-agent' }

async function call() {
  const begun = performance.now()
  const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, { method: 'POST', headers, body })
  await response.text()
  if (!response.ok) throw new Error(`answered ${response.status}`)
  return performance.now() - begun
}

for (let warm = 0; warm < WARM_CALLS; warm++) await call()
writeFileSync('ready', '')
while (!existsSync('go')) await sleep(5)
const before = process.cpuUsage()
const times = []
for (let made = 0; made < calls; made++) times.push(await call())
const { user, system } = process.cpuUsage(before)
times.sort((a, b) => a - b)
const at = (share) => times[Math.floor(calls * share)]
writeFileSync('result', JSON.stringify({ p50: at(0.5), p99: at(0.99), cpuMs: (user + system) / 1_000 / calls }))
renameSync('result', 'done')
