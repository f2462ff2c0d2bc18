/** The client's side of a call. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { systemClock } from '../../../src/core/clock.ts'
import { ClientConnection, readBody } from '../../../src/gateway/provider/client.ts'
import { turnsDuring } from '../../support/turns.ts'

const CHUNK = Buffer.alloc(64 * 1024, 'a')

const room = { growTo: () => undefined }

/** A request from a connection as fast as it is read. */
function request(chunks: number): IncomingMessage {
  let left = chunks
  const body = new Readable({ read: () => void body.push(left-- > 0 ? Buffer.from(CHUNK) : null) })
  return Object.assign(body, { headers: {} }) as IncomingMessage
}

test('the large body of a fast client is read in several turns of the event loop', async () => {
  const { turns, result } = await turnsDuring(() => readBody(request(100), 100 * CHUNK.length, room))
  expect(result.length).toBe(100 * CHUNK.length)
  expect(turns).toBeGreaterThan(90)
})

test('a body above the limit is refused for any declared length', async () => {
  await expect(readBody(request(100), 99 * CHUNK.length, room)).rejects.toMatchObject({ code: 'body_too_large' })
})

test('a large body without room is refused, and the rest of it is discarded', async () => {
  const sizes: number[] = []
  const growTo = (size: number) => {
    sizes.push(size)
    if (size > 10 * CHUNK.length) throw new Error('no room')
  }
  const incoming = request(100)
  await expect(readBody(incoming, 100 * CHUNK.length, { growTo })).rejects.toThrow('no room')
  expect(sizes.at(-1)).toBe(11 * CHUNK.length)
  await once(incoming, 'end')
})

test('a client is behind if it leaves before it has read its reply, and otherwise is not', async () => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.on('error', () => undefined)
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  const [, response] = (await once(server, 'request')) as [unknown, ServerResponse]
  const client = new ClientConnection(response, systemClock)
  client.begin(200, {})
  await once(socket, 'readable')
  await client.write('read')
  expect(client.isBehind).toBe(false)
  const piece = 'a'.repeat(1_000_000)
  const writing = (async () => {
    while (!client.isGone) await client.write(piece)
  })()
  while (!client.isBehind) await nextTurn()
  socket.resetAndDestroy()
  await expect(writing).rejects.toThrow('hung up')
  expect(client.isBehind).toBe(true)
  server.close()
})
