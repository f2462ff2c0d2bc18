/** The client's side of a call. */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { readBody } from '../../src/gateway/client.ts'
import { turnsDuring } from '../support/turns.ts'

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

test('a body above the limit is refused, whatever its client declared', async () => {
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
