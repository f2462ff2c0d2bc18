/** The client's side of a call. */
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { readBody } from '../../src/gateway/client.ts'
import { turnsDuring } from '../support/turns.ts'

const CHUNK = Buffer.alloc(64 * 1024, 'a')

/** A request from a connection as fast as it is read. */
function request(chunks: number): IncomingMessage {
  let left = chunks
  const body = new Readable({ read: () => void body.push(left-- > 0 ? Buffer.from(CHUNK) : null) })
  return Object.assign(body, { headers: {} }) as IncomingMessage
}

test('the large body of a fast client is read in several turns of the event loop', async () => {
  const { turns, result } = await turnsDuring(() => readBody(request(100), 100 * CHUNK.length))
  expect(result.length).toBe(100 * CHUNK.length)
  expect(turns).toBeGreaterThan(90)
})

test('a body above the limit is refused, whatever its client declared', async () => {
  await expect(readBody(request(100), 99 * CHUNK.length)).rejects.toMatchObject({ code: 'body_too_large' })
})
