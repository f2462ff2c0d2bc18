/** The body of an answer, from the connection to its reader. */

import { expect, test } from 'vitest'
import { AnswerBody } from '../../../src/gateway/provider/answer-body.ts'
import { TestClock } from '../../support/clock.ts'
import { turnsDuring } from '../../support/turns.ts'

const kib = () => Buffer.alloc(1024, 'a')
const tooMuch = () => new Error('too much')

/** A body, and the calls that its connection received. */
function open() {
  const received: string[] = []
  const clock = new TestClock()
  const source = {
    pause: () => void received.push('pause'),
    resume: () => void received.push('resume'),
    abort: (error?: Error) => void received.push(`abort: ${error?.message}`),
  }
  return { body: new AnswerBody(source, clock), received, clock }
}

test('a body in any number of pieces is whole once the connection ends it', async () => {
  const { body } = open()
  body.push(Buffer.from('one '))
  const whole = body.whole(100, tooMuch)
  body.push(Buffer.from('two '))
  await Promise.resolve()
  body.push(Buffer.from('three'))
  body.end()
  expect((await whole).toString()).toBe('one two three')
})

test('a body is whole when its last chunk and its end come while the connection is resumed', async () => {
  let isPaused = false
  const resume = () => {
    if (!isPaused) return
    isPaused = false
    body.push(kib())
    body.end()
  }
  const body = new AnswerBody({ pause: () => (isPaused = true), resume, abort: () => undefined }, new TestClock())
  body.push(Buffer.alloc(65 * 1024))
  expect(await body.whole(100 * 1024, tooMuch)).toHaveLength(66 * 1024)
})

test('a body of exactly the allowed bytes is read, and one more is too much', async () => {
  const read = (limit: number) => {
    const { body } = open()
    body.push(kib())
    body.end()
    return body.whole(limit, tooMuch)
  }
  expect(await read(1024)).toHaveLength(1024)
  await expect(read(1023)).rejects.toThrow('too much')
})

test('an empty body ends at once', async () => {
  const { body } = open()
  body.end()
  expect(await body.whole(0, tooMuch)).toHaveLength(0)
})

test('a body that broke off is an error after its pieces', async () => {
  const { body } = open()
  body.push(Buffer.from('begun'))
  body.end(new Error('the line broke'))
  const seen: string[] = []
  const reading = (async () => {
    for await (const chunk of body) seen.push(chunk.toString())
  })()
  await expect(reading).rejects.toThrow('the line broke')
  expect(seen).toEqual(['begun'])
  await expect(body.whole(100, tooMuch)).rejects.toThrow('the line broke')
})

test('makes the connection wait for a slow reader, and go on when it has read', async () => {
  const { body, received } = open()
  for (let pieces = 0; pieces < 64; pieces++) body.push(kib())
  expect(received).toEqual([])
  body.push(kib())
  expect(received).toEqual(['pause'])
  body.end()
  for await (const _ of body) break
  expect(received).toEqual(['pause', 'resume'])
})

/** A body whose connection delivers the next chunk whenever it is resumed, as a fast one does. */
function fast(chunks: number): AnswerBody {
  let left = chunks
  const resume = () => {
    if (left-- > 0) queueMicrotask(() => body.push(Buffer.alloc(64 * 1024)))
    else body.end()
  }
  const body = new AnswerBody({ pause: () => undefined, resume, abort: () => undefined }, new TestClock())
  return body
}

test.each(['whole', 'chunk by chunk'])('a body of a fast connection gives others their turn, read %s', async (how) => {
  const body = fast(100)
  const { turns } = await turnsDuring(async () => {
    if (how === 'whole') await body.whole(16 * 1024 * 1024, tooMuch)
    else for await (const _ of body);
  })
  expect(turns).toBeGreaterThan(90)
})

test('canceling a body closes its connection, unless the body has ended', async () => {
  const unwanted = open()
  unwanted.body.cancel()
  expect(unwanted.received).toEqual(['abort: the rest of the body is not needed'])
  const ended = open()
  ended.body.end()
  ended.body.cancel()
  expect(ended.received).toEqual([])
})

test('a released body is discarded to its end, or closed when it has none', async () => {
  const ending = open()
  const gone = ending.body.drain(60_000)
  for (let pieces = 0; pieces < 200; pieces++) ending.body.push(kib())
  ending.body.end()
  await gone
  expect(ending.received.filter((word) => word.startsWith('abort'))).toEqual([])

  const endless = open()
  void endless.body.drain(1_000)
  endless.clock.advance(999)
  expect(endless.received).not.toContain('abort: the rest of the body is not needed')
  endless.clock.advance(1)
  expect(endless.received).toContain('abort: the rest of the body is not needed')
})
