/**
 * What one caller's large or odd bodies do to everybody else, on the built program: for each the longest time in which
 * /api/health got no answer, the p99 of another caller beside the p99 when it is calm, and the memory after it.
 *
 *   node scripts/soak/large-bodies.ts
 */
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { FakeProvider } from '../../test/support/provider.ts'
import { Cage } from './cage.ts'

const MIB = 1024 * 1024

/** Asks for /api/health and makes a small call, one after the other, on a thread of its own. */
const OTHERS = `
const { parentPort, workerData: { url, token } } = require('node:worker_threads')
const { request } = require('undici')
let took = { health: [], call: [] }
parentPort.on('message', () => { parentPort.postMessage(took); took = { health: [], call: [] } })
const timed = async (list, path, options) => {
  const at = performance.now()
  const { body } = await request(url + path, options)
  await body.dump()
  took[list].push(performance.now() - at)
}
const small = { method: 'POST', headers: { authorization: 'Bearer ' + token, 'content-type': 'application/json' },
  body: '{"model":"penny","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]}' }
const repeat = async (work, ms) => { for (;;) { await work().catch(() => 0); await new Promise((go) => setTimeout(go, ms)) } }
repeat(() => timed('health', '/api/health'), 5)
repeat(() => timed('call', '/gateway/openai/v1/chat/completions', small), 5)
`

/** Answers every call in two words, those of the attack with what it is given, on a thread of its own. */
const PROVIDER = `
const { parentPort } = require('node:worker_threads')
const { createServer } = require('node:http')
const choice = { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'ok' } }
const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
const ok = JSON.stringify({ id: '1', object: 'chat.completion', choices: [choice], usage })
let large = Buffer.from(ok)
parentPort.on('message', (answer) => { large = Buffer.from(answer ?? ok); parentPort.postMessage('ready') })
const server = createServer(async (request, response) => {
  let size = 0
  let isAttack = false
  for await (const chunk of request) { size += chunk.length; isAttack ||= size > 400 || chunk.includes('attack') }
  const answer = isAttack ? large : Buffer.from(ok)
  response.writeHead(200, { 'content-type': answer[0] === 0x7b ? 'application/json' : 'text/event-stream' })
  response.end(answer)
})
server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port))
`

/** More than any answer here is long: none is an overrun. */
const MAX_TOKENS = 4_000_000
const chat = (messages: string): string => `{"model":"penny","max_tokens":${MAX_TOKENS},"messages":${messages}}`
const list = (count: number, item: string | ((index: number) => string)): string =>
  `[${Array.from({ length: count }, (_, index) => (typeof item === 'string' ? item : item(index))).join()}]`
const said = (text: string): string => `[{"role":"user","content":${JSON.stringify(text)}}]`

const REQUESTS: Record<string, () => string> = {
  'one text of 30 MiB': () => chat(said('lorem ipsum '.repeat((30 * MIB) / 12))),
  'an image of 30 MiB': () =>
    chat(
      `[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,${'iVBORw0K'.repeat((30 * MIB) / 8)}"}}]}]`,
    ),
  'escapes, 30 MiB': () => chat(`[{"role":"user","content":"${'\\u00e9'.repeat((30 * MIB) / 6)}"}]`),
  '19,000 messages of 1.5 KB': () => chat(list(19_000, `{"role":"user","content":"${'word '.repeat(300)}"}`)),
  '3.9 million objects': () => chat(list(3_900_000, '{"a":1}')),
  '10 million []': () => chat(list(10_000_000, '[]')),
  '2.3 million fields': () => chat(`{${Array.from({ length: 2_300_000 }, (_, index) => `"k${index}":1`).join()}}`),
  'long numbers, 30 MiB': () => chat(list(1_700_000, '12345678901234567')),
}

const reply = (content: string): string =>
  `{"id":"1","object":"chat.completion","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":${content}}}],"usage":{"prompt_tokens":1,"completion_tokens":${MAX_TOKENS},"total_tokens":${MAX_TOKENS + 1}}}`
const frames = (content: string): string => {
  const frame = (choices: object[], usage?: object) => `data: ${JSON.stringify({ id: '1', choices, usage })}\n\n`
  const usage = { prompt_tokens: 1, completion_tokens: MAX_TOKENS, total_tokens: MAX_TOKENS + 1 }
  return `${frame([{ index: 0, delta: { content } }])}${frame([], usage)}data: [DONE]\n\n`
}
const people = (count: number): string =>
  JSON.stringify(Array.from({ length: count }, (_, index) => `person${index}@customers-of-acme.com`).join('\n'))

const REPLIES: Record<string, () => string> = {
  '100 addresses': () => reply(people(100)),
  '1,000 addresses': () => reply(people(1_000)),
  '20,000 addresses': () => reply(people(20_000)),
  '200,000 addresses': () => reply(people(200_000)),
  '20 MB of a@a@': () => reply(`"${'a@'.repeat(10_000_000)}"`),
  '20 MB of %40': () => reply(`"${'%40'.repeat(6_600_000)}"`),
  '1 million parts': () => reply(list(1_000_000, '{"type":"text","text":"hello"}')),
  'a frame of 3.8 MB of digits': () => frames('4111 1111 1111 1112 '.repeat(190_000)),
  '40 MB of text': () => reply(`"${'lorem ipsum '.repeat(3_400_000)}"`),
}

const folder = mkdtempSync(join(tmpdir(), 'iron-cage-bodies-'))
const provider = new Worker(PROVIDER, { eval: true })
const [port] = (await once(provider, 'message')) as [number]
const cage = new Cage(folder, { url: `http://127.0.0.1:${port}` } as FakeProvider, {
  budget: { clamp_max_tokens: false },
})
await cage.start()
const { url, callToken: token } = cage
const attacker = (await cage.api('POST', '/api/tokens', { name: 'attacker', budget_usd: '9000000' })).token
const others = new Worker(OTHERS, { eval: true, workerData: { url, token } })
const took = (): Promise<{ health: number[]; call: number[] }> =>
  new Promise((resolve) => {
    others.once('message', resolve)
    others.postMessage('')
  })
const rssMb = (): number =>
  Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${cage.pid}/status`, 'utf8'))![1]) / 1024)
const p99 = (times: number[]): number => times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0
const send = (body: string): Promise<number> =>
  fetch(`${url}/gateway/openai/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${attacker}`, 'content-type': 'application/json' },
    body,
  }).then(async (response) => {
    await response.arrayBuffer()
    return response.status
  })

await sleep(3_000)
await took()
await sleep(10_000)
const calm = await took()
const calmMb = rssMb()
console.log(
  `calm: longest ${Math.max(...calm.health).toFixed(0)} ms, p99 of calls ${p99(calm.call).toFixed(1)} ms, ${calmMb} MB\n`,
)
console.log('| body | status | longest stall | p99 of calls | memory after |\n|---|---|---|---|---|')

async function attack(name: string, body: string, answer: string | undefined): Promise<void> {
  provider.postMessage(answer)
  await once(provider, 'message')
  await took()
  const status = await send(body).catch((error: Error) => error.message)
  await sleep(500)
  const during = await took()
  await sleep(4_000)
  await took()
  console.log(
    `| ${name} | ${status} | ${Math.max(...during.health, 0).toFixed(0)} ms | ${p99(during.call).toFixed(1)} ms | ${rssMb()} MB |`,
  )
}

for (const [name, make] of Object.entries(REQUESTS)) await attack(`request: ${name}`, make(), undefined)
for (const [name, make] of Object.entries(REPLIES)) {
  const answer = make()
  const asked = chat(said('attack'))
  await attack(`reply: ${name}`, answer.startsWith('data:') ? asked.replace('{', '{"stream":true,') : asked, answer)
}

await others.terminate()
await cage.kill()
await provider.terminate()
rmSync(folder, { recursive: true, force: true })
