import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { ByteCollector, encoded, free, LARGE_BYTES, piecesOf } from '../../../src/gateway/bodies/bytes.ts'
import fc from '../../support/fast-check.ts'
import { turnsDuring } from '../../support/turns.ts'

const LIMIT = 3 * 1024 * 1024
const filled = (size: number, byte: number): Buffer => Buffer.allocUnsafeSlow(size).fill(byte)

test('a body is the sum of its chunks, however they are cut', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(LIMIT / 8), { maxLength: 8 }), (sizes) => {
      const chunks = sizes.map((size, index) => filled(size, index))
      const whole = Buffer.concat(chunks)
      const collected = new ByteCollector(LIMIT)
      for (const chunk of chunks) collected.push(chunk)
      expect(collected.size).toBe(whole.length)
      expect(collected.take().equals(whole)).toBe(true)
    }),
    { numRuns: 50 },
  )
})

test('a collector releases the chunks of a large body as they arrive, and the body on request', () => {
  const collected = new ByteCollector(LIMIT)
  const chunks = [filled(LARGE_BYTES - 1, 1), filled(LARGE_BYTES, 2)]
  for (const chunk of chunks) collected.push(chunk)
  expect(chunks.map(({ length }) => length)).toEqual([0, 0])
  const body = collected.take()
  expect(body.length).toBe(2 * LARGE_BYTES - 1)
  free(body)
  expect(body.length).toBe(0)
})

test('memory that others may lie in is not given back', () => {
  const neighbors = Buffer.alloc(100, 7)
  free(neighbors.subarray(0, 50))
  expect(neighbors.every((byte) => byte === 7)).toBe(true)
})

test('an empty chunk, which a connection uses again and again, stays as it is', () => {
  const empty = Buffer.alloc(0)
  const collected = new ByteCollector(LIMIT)
  for (const chunk of [filled(LARGE_BYTES, 1), empty, filled(1, 2)]) collected.push(chunk)
  expect(collected.take()).toHaveLength(LARGE_BYTES + 1)
  expect((empty.buffer as ArrayBuffer).detached).toBe(false)
})

test('a text of any size is written as it is', () => {
  for (const text of ['a漢🎉', 'a漢🎉'.repeat(LARGE_BYTES)]) expect(encoded(text).toString() === text).toBe(true)
})

test('a large body arrives whole at a server that reads slowly', async () => {
  const text = Array.from({ length: 700_000 }, (_, index) => index).join()
  const server = createServer(async (incoming, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) {
      chunks.push(chunk)
      if (chunks.length % 16 === 0) await sleep(1)
    }
    response.end(String(Buffer.concat(chunks).toString() === text))
  })
  server.listen(0, '127.0.0.1')
  onTestFinished(() => void server.close())
  await once(server, 'listening')
  const bytes = encoded(text)
  const answer = await request(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, {
    method: 'POST',
    headers: { 'content-length': String(bytes.length) },
    body: piecesOf(bytes) as never,
  })
  expect(await answer.body.text()).toBe('true')
})

test('a large body is sent in several turns of the event loop, however fast the socket takes it', async () => {
  let pieces = 0
  const { turns } = await turnsDuring(async () => {
    for await (const _ of piecesOf(encoded('x'.repeat(LIMIT)))) pieces++
  })
  expect(pieces).toBeGreaterThan(10)
  expect(turns).toBeGreaterThanOrEqual(pieces)
})

test('a body that was given back before all of it was sent is not sent on', async () => {
  const bytes = encoded('x'.repeat(LIMIT))
  const pieces = piecesOf(bytes)
  await pieces.next()
  free(bytes)
  await expect(pieces.next()).rejects.toThrow('the call has ended')
})
