/** How many connections the server keeps, and whose it closes when there are too many. */

import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../src/core/clock.ts'
import { Connections, maxConnections } from '../../src/http/connections.ts'

/** A server that answers paths without "slow", and keeps the other requests open. */
async function open(max: number) {
  const server: Server = createServer()
  const connections = new Connections(max, systemClock)
  const open: ServerResponse[] = []
  connections.watch(server)
  server.on('request', (request, response) => {
    if (connections.isRefused(request)) return
    request.resume()
    if (request.url!.endsWith('slow')) open.push(response)
    else response.end('ok')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sockets: Socket[] = []
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const dial = async () => {
    const accepted = once(server, 'connection')
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    sockets.push(socket)
    await accepted
    return new Client(socket)
  }
  return { dial, open }
}

class Client {
  received = ''
  readonly socket: Socket
  readonly closed: Promise<unknown>

  constructor(socket: Socket) {
    this.socket = socket
    this.closed = once(socket, 'close')
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.received += text
    })
  }

  send(text: string): this {
    this.socket.write(text)
    return this
  }

  async shows(text: string): Promise<void> {
    await expect.poll(() => this.received).toContain(text)
  }
}

const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`

describe('a server without free places', () => {
  test('the oldest connection without a request is closed first, then those between two requests', async () => {
    const { dial } = await open(3)
    const kept = await dial()
    await kept.send(get('/')).shows('ok')
    const [oldest, newer] = [await dial(), await dial()]
    const late = await dial()
    await oldest.closed
    await late.send(get('/')).shows('ok')
    const later = await dial()
    await newer.closed
    await later.send(get('/')).shows('ok')
    // Now every one of them has asked: the one that was not used for longest goes.
    await dial()
    await kept.closed
    expect([late, later].map(({ socket }) => socket.destroyed)).toEqual([false, false])
  })

  test('a client that is still sending a request makes room, and one that waits for an answer never does', async () => {
    const { dial, open: answers } = await open(2)
    const waits = await dial()
    waits.send(get('/slow'))
    await expect.poll(() => answers.length).toBe(1)
    const sends = await dial()
    sends.send('POST /slow HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\n12')
    await expect.poll(() => answers.length).toBe(2)
    const late = await dial()
    await sends.closed
    await late.send(get('/')).shows('ok')
    answers[0]!.end('at last')
    await waits.shows('at last')
  })

  test('when all places are taken and used, one more is refused with a reason, and its request is not carried out', async () => {
    const { dial, open: answers } = await open(1)
    const waits = await dial()
    waits.send(get('/slow'))
    await expect.poll(() => answers.length).toBe(1)
    const refused = await dial()
    refused.send(get('/slow'))
    await refused.shows('too_many_connections')
    expect(refused.received).toMatch(/^HTTP\/1\.1 503 /)
    await refused.closed
    expect(answers).toHaveLength(1)
    answers[0]!.end('ok')
    await waits.shows('ok')
    await (await dial()).send(get('/')).shows('ok')
  })
})

test('the places leave descriptors for calls to providers, for agents and for files', () => {
  expect(maxConnections()).toBeGreaterThan(100)
  expect(maxConnections()).toBeLessThanOrEqual(10_000)
})
