/** Replies that are compressed although that was not requested. */
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { chatFrames, streams, whole } from '../../support/provider.ts'
import { openTestRuntime } from '../../support/runtime.ts'

const TEXT = ['Write to jane.roe@', 'corp-canary.com, or come.']
const REDACTED = 'Write to [EMAIL_REDACTED], or come.'

type Compress = (bytes: Buffer) => Buffer

const compressed =
  (encoding: string, body: Buffer, type: string) => async (response: import('node:http').ServerResponse) => {
    response.setHeader('content-encoding', encoding)
    await streams([body.subarray(0, 30), body.subarray(30)], 'ends', type)(response)
  }

test.each<[encoding: string, how: string, compress: Compress]>([
  ['gzip', 'with', gzipSync],
  ['x-gzip', 'with', gzipSync],
  ['deflate', 'with', deflateSync],
  ['deflate', 'without', deflateRawSync],
  ['br', 'with', brotliCompressSync],
  ['ZSTD', 'with', zstdCompressSync],
  ['identity', 'with', Buffer.from],
])('a reply in %s, %s its header, is read and passed on decoded', async (encoding, _how, compress) => {
  const cage = await openTestRuntime()
  const agent = cage.addAgent()
  const body = Buffer.from(whole('openai', { text: TEXT }))
  cage.provider.doesOnce(compressed(encoding, compress(body), 'application/json'))
  const reply = await agent.chat()
  expect(reply.headers['content-encoding']).toBeUndefined()
  expect(reply.json()).toMatchObject({ choices: [{ message: { content: REDACTED } }] })
  cage.provider.doesOnce(compressed(encoding, compress(Buffer.from(chatFrames({ text: TEXT }))), 'text/event-stream'))
  const streamed = await agent.chat({ stream: true })
  expect(streamed.text).toContain('[EMAIL_REDACTED]')
  expect(streamed.text).toContain('[DONE]')
  expect(cage.rows().map(({ state, estimated }) => [state, estimated])).toEqual([
    ['charged', 0],
    ['charged', 0],
  ])
})

test.each([
  ['compress', Buffer.from(whole('openai')), 'provider_reply_invalid'],
  ['gzip', Buffer.from(whole('openai')), 'provider_reply_invalid'],
  ['gzip', gzipSync(whole('openai')).subarray(0, 60), 'provider_reply_invalid'],
  ['gzip', gzipSync(Buffer.alloc(80_000_000, ' ')), 'reply_too_large'],
])('a reply in %s that cannot be read, or is too large, is withheld', async (encoding, body, code) => {
  const cage = await openTestRuntime()
  cage.provider.does(compressed(encoding, body, 'application/json'))
  const reply = await cage.addAgent().chat()
  expect([reply.status, reply.json().error]).toMatchObject([502, { code }])
  expect(cage.rows()).toMatchObject([{ state: 'charged' }])
})

test('an error that is compressed is read and passed on', async () => {
  const cage = await openTestRuntime()
  cage.provider.does((response) => {
    response.writeHead(400, { 'content-type': 'application/json', 'content-encoding': 'gzip' })
    response.end(gzipSync('{"error":{"message":"No."}}'))
  })
  const reply = await cage.addAgent().chat()
  expect([reply.status, reply.text]).toEqual([400, '{"error":{"message":"No."}}'])
})
