/**
 * The least that the gateway's own code takes for a call: all of it in one hot loop, without sockets, ten calls at
 * once. Then with other code run between two calls, as the sockets' code is in a server, less its time in a separate
 * loop: the rest shows the cost when both find their code cold. Prints microseconds a call.
 *
 *   node scripts/bench/floor.ts [rounds]     (Default: 9 rounds.)
 */
import { spawnSync } from 'node:child_process'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { systemClock } from '../../src/core/clock.ts'
import { AnswerBody, type Source } from '../../src/gateway/provider/answer-body.ts'
import type { Answer, ProviderAttempt } from '../../src/gateway/provider/upstream.ts'
import { chatRequest, openCallDeps, V8_FLAGS } from './call-deps.ts'
import { median } from './figures.ts'

const AT_ONCE = 10
const WARM_CALLS = 20_000
const ROUND_CALLS = 4_000
const VARIANTS: [name: string, hasRows: boolean, functions: number][] = [
  ['own code', false, 0],
  ['own code and rows', true, 0],
  ['own code, 250 other functions between two calls', false, 250],
  ['own code, 500', false, 500],
  ['own code, 1,000', false, 1_000],
]

/** Microseconds a call. */
async function measure(withRows: boolean, count: number): Promise<number> {
  const { deps, token, close } = await openCallDeps('http://127.0.0.1:9', withRows)
  const others = otherCode(count)
  const request = Buffer.from(chatRequest(1))
  Object.assign(deps.gateway.upstream, { send: answerAtOnce })
  const run = async (calls: number) => {
    let begun = 0
    const worker = async () => {
      while (begun++ < calls) {
        others()
        await call(deps.gateway.answer, token, request)
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
  }
  await run(WARM_CALLS)
  const own = timeOf(() => {
    for (let times = 0; times < ROUND_CALLS; times++) others()
  })
  const startedAt = performance.now()
  await run(ROUND_CALLS)
  const took = performance.now() - startedAt - own
  await close()
  return (took * 1000) / ROUND_CALLS
}

function timeOf(work: () => void): number {
  const startedAt = performance.now()
  work()
  return performance.now() - startedAt
}

type AnswerRequest = (request: IncomingMessage, response: ServerResponse, onRefused: () => void) => Promise<void>

/** Resolves when it is answered. */
function call(answer: AnswerRequest, token: string, body: Buffer): Promise<void> {
  const socket = { remotePort: 1, remoteAddress: '127.0.0.1' }
  const headers = {
    host: 'localhost:8080',
    'content-type': 'application/json',
    'content-length': String(body.length),
    authorization: `Bearer ${token}`,
    'x-api-key': 'bench',
  }
  const url = '/gateway/openai/v1/chat/completions'
  const fields = { url, method: 'POST', socket, headers, destroyed: false, readableEnded: true }
  const request = Object.assign(new EventEmitter(), fields)
  const response = new Response()
  void answer(request as unknown as IncomingMessage, response as unknown as ServerResponse, () => undefined)
  setImmediate(() => {
    request.emit('data', body)
    request.emit('end')
    request.emit('close')
  })
  return response.ended
}

class Response extends EventEmitter {
  readonly #ended = Promise.withResolvers<void>()
  readonly ended = this.#ended.promise
  readonly socket = { setNoDelay: () => undefined }
  headersSent = false
  writableFinished = false
  closed = false

  writeHead(status: number): void {
    if (status !== 200) this.#ended.reject(new Error(`it was answered ${status}`))
    this.headersSent = true
  }

  end(): void {
    this.writableFinished = true
    this.closed = true
    this.emit('finish')
    this.emit('close')
    this.#ended.resolve()
  }
}

const REPLY = Buffer.from(
  JSON.stringify({
    id: 'chatcmpl-bench',
    created: 1,
    model: 'gpt-4o-mini',
    object: 'chat.completion',
    choices: [
      {
        index: 0,
        message: { role: 'assistant', content: 'The quarterly review shows steady growth. '.repeat(20) },
        finish_reason: 'stop',
      },
    ],
    usage: { prompt_tokens: 220, completion_tokens: 150, total_tokens: 370 },
  }),
)

async function answerAtOnce({ onSending }: ProviderAttempt): Promise<Answer> {
  onSending?.()
  await nextTurn()
  const source = { pause: () => undefined, resume: () => undefined, abort: () => undefined } as unknown as Source
  const body = new AnswerBody(source, systemClock)
  body.push(REPLY)
  body.end()
  return { status: 200, headers: { 'content-type': 'application/json', 'content-length': `${REPLY.length}` }, body }
}

/** So many small functions, none like another. */
function otherCode(count: number): () => void {
  const subject = { a: 1, b: 2, c: 3 }
  const functions = Array.from({ length: count }, (_, index) => {
    const body = `it.a = (it.a | 0) + ${index}; if (it.b > ${index}) it.b -= 3; else it.b += ${index % 5}; it.c = (it.b * ${index}) % 1000; return it.c > ${index} ? it.c : -it.c`
    return new Function('it', body) as (it: typeof subject) => number
  })
  return () => {
    for (const one of functions) one(subject)
  }
}

const [first = '9', hasRows, functions] = process.argv.slice(2)
if (first === 'run') {
  console.log(await measure(hasRows === 'true', Number(functions)))
  process.exit()
} else {
  const micros = VARIANTS.map((): number[] => [])
  for (let round = 1; round <= Number(first); round++) {
    process.stderr.write(`round ${round} of ${first}\r`)
    for (const [index, [, rows, count]] of VARIANTS.entries()) {
      const args = [...V8_FLAGS, import.meta.filename, 'run', String(rows), String(count)]
      const { stdout, status } = spawnSync(process.execPath, args, {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      if (status !== 0) process.exit(1)
      micros[index]!.push(Number(stdout))
    }
  }
  for (const [index, [name]] of VARIANTS.entries())
    console.log(`${median(micros[index]!).toFixed(0).padStart(6)} µs   ${name}`)
}
