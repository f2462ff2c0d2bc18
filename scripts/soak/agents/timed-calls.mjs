// An agent that makes a call fifty times a second until it is ended, and appends when each ended and how long it took,
// in ms, to the file that its argument names.
import { appendFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

const [file] = process.argv.slice(2)
const body = JSON.stringify({ model: 'penny', max_tokens: 5, messages: [{ role: 'user', content: 'Go.' }] })
const headers = { 'content-type': 'application/json', authorization: 'Bearer sk-of-the-agent' }
for (;;) {
  const begun = performance.now()
  const response = await fetch(`${process.env.OPENAI_BASE_URL}/chat/completions`, { method: 'POST', headers, body })
  await response.text()
  const ms = performance.now() - begun
  if (response.ok) appendFileSync(file, `${Date.now()} ${ms.toFixed(2)}\n`)
  await sleep(Math.max(0, 20 - ms))
}
