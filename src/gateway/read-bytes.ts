import type { Readable } from 'node:stream'

/**
 * All that comes, up to `limit` bytes; then the stream is ended and `tooMuch` thrown. Rejects when it breaks off. By
 * events, since every call reads two streams, and to iterate over one costs more than to read it.
 */
export function readBytes(stream: Readable, limit: number, tooMuch: () => Error): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    stream.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= limit) return void chunks.push(chunk)
      reject(tooMuch())
      stream.destroy()
    })
    stream.on('error', reject)
    stream.on('end', () => resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
    // The last of all, and nothing to a stream that has ended.
    stream.on('close', () => reject(new Error('the stream broke off')))
    if (stream.destroyed) reject(stream.errored ?? new Error('the stream broke off'))
  })
}
