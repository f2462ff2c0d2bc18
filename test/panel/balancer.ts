/**
 * A load balancer in front of panels: spreads requests over those that report ready, and sends one again only if it
 * could not connect, as HAProxy and nginx do for requests that change something. It counts what everybody was answered.
 */
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'

export interface Balancer {
  url: string
  /** How often each answer was given, such as "200 GET /api/fleet"; "broken …" for a request that was cut off. */
  answers: Map<string, number>
  /** Connections that a panel refused. */
  refused: number
  /** The ports of panels that are ready, by the last look. */
  ready: ReadonlySet<number>
  close(): void
}

const CHECK_INTERVAL_MS = 200
const agent = new Agent({ keepAlive: true })

export async function openBalancer(ports: readonly number[]): Promise<Balancer> {
  const ready = new Set<number>()
  let isOpen = true
  let turn = 0
  const server = createServer((incoming, response) => void forward(incoming, response))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const balancer: Balancer = {
    url: `http://127.0.0.1:${port}`,
    answers: new Map(),
    refused: 0,
    ready,
    close: () => {
      isOpen = false
      server.close()
      server.closeAllConnections()
    },
  }
  const count = (answer: string | number, { method, url }: IncomingMessage) => {
    const key = `${answer} ${method} ${url!.split('?')[0]}`
    balancer.answers.set(key, (balancer.answers.get(key) ?? 0) + 1)
  }
  const forward = async (incoming: IncomingMessage, response: ServerResponse) => {
    const body = await buffer(incoming)
    const candidates = [...ready]
    for (let left = candidates.length; left > 0; left--) {
      const to = candidates[turn++ % candidates.length]!
      try {
        const answer = await send(to, incoming, body)
        count(answer.statusCode!, incoming)
        const { connection: _, 'keep-alive': __, ...headers } = answer.headers
        response.writeHead(answer.statusCode!, headers)
        return void answer.pipe(response)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ECONNREFUSED') break
        balancer.refused += 1
      }
    }
    count('broken', incoming)
    response.writeHead(502).end()
  }
  for (const each of ports) {
    void (async () => {
      for (; isOpen; await wait(CHECK_INTERVAL_MS)) {
        const isReady = await fetch(`http://127.0.0.1:${each}/health/ready`).then(
          ({ ok }) => ok,
          () => false,
        )
        if (isReady) ready.add(each)
        else ready.delete(each)
      }
    })()
  }
  return balancer
}

/** Resolves with the answer's head; rejects when there is none. */
function send(port: number, { method, url, headers }: IncomingMessage, body: Buffer): Promise<IncomingMessage> {
  const { connection: _, 'transfer-encoding': __, ...rest } = headers
  return new Promise((resolve, reject) => {
    const options = { port, host: '127.0.0.1', method: method!, path: url!, agent }
    const outgoing = request({ ...options, headers: { ...rest, 'content-length': body.length } }, resolve)
    outgoing.once('error', reject)
    outgoing.end(body)
  })
}
