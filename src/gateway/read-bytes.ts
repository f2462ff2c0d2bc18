import type { Readable } from 'node:stream'

/**
 * All that comes, up to `limit` bytes. Rejects with `tooMuch` beyond, and lets the rest go by: a client must still be told;
 * who wants no more of it destroys it. Rejects when it breaks off. By events, since every call reads two streams, and to
 * iterate over one costs more than to read it.
 */
export function readBytes(stream: Readable, limit: number, tooMuch: () => Error): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= limit) return void chunks.push(chunk)
      chunks.length = 0
      reject(tooMuch())
    })
    stream.on('error', reject)
    stream.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    stream.on('close', () => stream.readableEnded || reject(new Error('the stream broke off')))
    if (stream.destroyed) reject(stream.errored ?? new Error('the stream broke off'))
  })
}
