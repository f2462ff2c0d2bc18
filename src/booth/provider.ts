/** A provider for the booth: it answers any chat, whole or streamed, and remembers its replies. Loopback only. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '../core/clock.ts'

export interface BoothProvider {
  /** http://127.0.0.1:port/v1 */
  url: string
  /** Calls answered so far. */
  answered(): number
  /** The pieces of the last streamed answer, as they were sent. */
  pieces: readonly string[]
  close(): void
}

/** Long enough that calls run at the same time, in ms. */
const ANSWER_MS = 40
const PIECE_MS = 120
/** Where the pieces end is where simple filters fail. */
const PIECES = ['Sure! Write to ce', 'o@ac', 'me.c', 'om, or call 415-', '555-', '0123', ' before noon.']

export async function openBoothProvider(clock: Pick<Clock, 'sleep'>): Promise<BoothProvider> {
  let answered = 0
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { stream } = JSON.parse(Buffer.concat(chunks).toString()) as { stream?: boolean }
    answered++
    await (stream ? streamAnswer(response, clock) : wholeAnswer(response, clock))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    answered: () => answered,
    pieces: PIECES,
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

const USAGE = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }

async function wholeAnswer(response: ServerResponse, clock: Pick<Clock, 'sleep'>): Promise<void> {
  await clock.sleep(ANSWER_MS)
  const message = { role: 'assistant', content: 'ok' }
  response.writeHead(200, { 'content-type': 'application/json' })
  response.end(
    JSON.stringify({
      id: 'c',
      object: 'chat.completion',
      created: 1,
      model: 'booth',
      choices: [{ index: 0, message, finish_reason: 'stop' }],
      usage: USAGE,
    }),
  )
}

async function streamAnswer(response: ServerResponse, clock: Pick<Clock, 'sleep'>): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const send = (more: object) =>
    response.write(
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'booth', ...more })}\n\n`,
    )
  for (const content of PIECES) {
    send({ choices: [{ index: 0, delta: { content }, finish_reason: null }] })
    await clock.sleep(PIECE_MS)
  }
  send({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })
  send({ choices: [], usage: USAGE })
  response.end('data: [DONE]\n\n')
}
