/**
 * The simulated provider of the benchmark: answers at once, or streams 64 pieces, one every 20 ms. A process of its own;
 * prints its port. `node provider.ts tls` speaks HTTPS, with HTTP/2 on offer.
 */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSecureServer, type Http2ServerResponse } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import type { Readable } from 'node:stream'
import { setTimeout } from 'node:timers/promises'
import { chatChunks, chatCompletion, chatFrames } from '../../src/booth/scripted-provider.ts'

const PROSE =
  'The quarterly review shows steady growth in all regions, with the strongest results in logistics and energy. ' +
  'Costs stayed within the plan, and the team expects the trend to hold through the next two quarters. '
const PIECES = 64
const PACE_MS = 20

const usage = { prompt_tokens: 220, completion_tokens: 150, total_tokens: 370 }
const chat = { id: 'chatcmpl-bench', created: 1, model: 'gpt-4o-mini', usage }
const reply = JSON.stringify(chatCompletion({ ...chat, pieces: [PROSE.repeat(4)] }))
const pieces = Array.from({ length: PIECES }, (_, index) => `${PROSE.split(' ')[index % 30]} `)
const [role = '', ...frames] = chatFrames(chatChunks({ ...chat, pieces }))

/** What responses of both versions of HTTP can do. */
type Response = Pick<Http2ServerResponse, 'writeHead' | 'write' | 'end'>

async function stream(response: Response): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write(role)
  for (const frame of frames.slice(0, PIECES)) {
    response.write(frame)
    await setTimeout(PACE_MS)
  }
  response.end(frames.slice(PIECES).join(''))
}

/** For both versions of HTTP. */
function answer(request: Readable, response: Response): void {
  let body = ''
  request.setEncoding('latin1')
  request.on('data', (chunk: string) => {
    body += chunk
  })
  request.on('end', () => {
    if (/"stream": ?true/.test(body)) return void stream(response)
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(reply) })
    response.end(reply)
  })
}

function openServer() {
  if (process.argv[2] !== 'tls') {
    const server = createServer((request, response) => answer(request, response as unknown as Response))
    server.keepAliveTimeout = 60_000
    return server
  }
  const of = (name: string) => readFileSync(resolve(import.meta.dirname, '../../test/support/tls', name))
  return createSecureServer({ key: of('key.pem'), cert: of('cert.pem'), allowHTTP1: true }, answer)
}

const server = openServer()
server.listen(0, '127.0.0.1', 1024, () => console.log((server.address() as AddressInfo).port))
