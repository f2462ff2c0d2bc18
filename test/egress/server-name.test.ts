/** First messages of real clients of TLS, however they are cut. */
import { createServer } from 'node:net'
import { connect } from 'node:tls'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { readHello } from '../../src/egress/server-name.ts'

/** What Node's client sends first. */
async function helloOf(options: { servername?: string; maxVersion?: 'TLSv1.2' }): Promise<Buffer> {
  const first = Promise.withResolvers<Buffer>()
  const server = createServer((socket) => socket.on('error', () => {}).once('data', (chunk) => first.resolve(chunk)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const client = connect({ port, host: '127.0.0.1', ...options }).on('error', () => {})
  onTestFinished(() => {
    client.destroy()
    server.close()
  })
  return first.promise
}

/** The same message in records of this size (RFC 8446, 5.1). */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5)
  const records: Buffer[] = []
  for (let at = 0; at < message.length; at += size) {
    const piece = message.subarray(at, at + size)
    const head = Buffer.from(hello.subarray(0, 5))
    head.writeUInt16BE(piece.length, 3)
    records.push(head, piece)
  }
  return Buffer.concat(records)
}

/** With another extension in front of the others. */
function withExtension(hello: Buffer, kind: number, content = Buffer.of(0)): Buffer {
  let at = 5 + 4 + 34
  at += 1 + hello.readUInt8(at)
  at += 2 + hello.readUInt16BE(at)
  at += 1 + hello.readUInt8(at)
  const added = Buffer.from([kind >> 8, kind & 0xff, 0, content.length, ...content])
  const whole = Buffer.concat([hello.subarray(0, at + 2), added, hello.subarray(at + 2)])
  whole.writeUInt16BE(hello.readUInt16BE(3) + added.length, 3)
  whole.writeUIntBE(hello.readUIntBE(6, 3) + added.length, 6, 3)
  whole.writeUInt16BE(hello.readUInt16BE(at) + added.length, at)
  return whole
}

describe('the first message of TLS', () => {
  test.each([{ maxVersion: 'TLSv1.2' as const }, {}])('names its server with %o', async (options) => {
    const hello = await helloOf({ servername: 'Api.GitHub.com', ...options })
    expect(readHello(hello)).toEqual({ kind: 'tls', name: 'api.github.com', isHidden: false })
  })

  test('has no name for an address', async () => {
    expect(readHello(await helloOf({}))).toEqual({ kind: 'tls', name: undefined, isHidden: false })
  })

  test('is partial until its last byte, and the same in records of any size', async () => {
    const hello = await helloOf({ servername: 'api.github.com' })
    for (let length = 0; length < hello.length; length++)
      expect(readHello(hello.subarray(0, length)).kind).toBe('partial')
    for (const size of [1, 2, 7, 64, 500]) {
      expect(readHello(inRecords(hello, size))).toMatchObject({ kind: 'tls', name: 'api.github.com' })
    }
  })

  test('hides its name where it encrypts another one', async () => {
    const hello = withExtension(await helloOf({ servername: 'api.github.com' }), 0xfe0d)
    expect(readHello(hello)).toEqual({ kind: 'tls', name: 'api.github.com', isHidden: true })
  })

  const entry = (type: number, name: string) => Buffer.from([type, 0, name.length, ...Buffer.from(name)])
  const list = (...entries: Buffer[]) => {
    const all = Buffer.concat(entries)
    return Buffer.from([0, all.length, ...all])
  }

  test.each([
    ['two lists', (hello: Buffer) => withExtension(hello, 0, list(entry(0, 'evil.example')))],
    ['two names', () => withExtension(nameless, 0, list(entry(0, 'api.github.com'), entry(0, 'evil.example')))],
    ['a name of another type', () => withExtension(nameless, 0, list(entry(1, 'api.github.com')))],
    ['two types', () => withExtension(nameless, 0, list(entry(1, 'api.github.com'), entry(0, 'evil.example')))],
    ['a cut list', () => withExtension(nameless, 0, Buffer.of(0, 9, 0, 0, 6, 1))],
  ])('is none with %s, of which servers take different names', async (_, change) => {
    nameless = await helloOf({})
    expect(readHello(change(await helloOf({ servername: 'api.github.com' })))).toEqual({ kind: 'other' })
  })
  let nameless: Buffer

  test.each(['GET / HTTP/1.1\r\n', 'SSH-2.0-x\r\n', '\x17\x03\x03\x00\x01x', '\x16\x05\x01\x00\x01x'])(
    'is not "%s"',
    (text) => {
      expect(readHello(Buffer.from(text, 'latin1')).kind).toBe('other')
    },
  )

  test('is read without a fault from any bytes', async () => {
    const hello = await helloOf({ servername: 'api.github.com' })
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(hello.length - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
        const changed = Buffer.from(hello)
        for (const [at, value] of changes) changed[at] = value
        readHello(changed)
      }),
    )
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void readHello(Buffer.from(bytes))))
  })
})
