/**
 * Bodies as bytes. A large body has its own memory mapping, which is returned to the system at once: memory freed to
 * the allocator stays with the process, and garbage stays until it is collected.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

/** Size from which a body is large: it is read, redacted and written on another thread (`large-bodies.ts`). */
export const LARGE_BYTES = 256 * 1024
/** A growing body is enlarged in steps of this size. */
export const GROWTH_BYTES = 1024 * 1024
/** Bytes written to a socket at a time; more than its buffer, so that each piece waits for the one before. */
const PIECE_BYTES = 128 * 1024

/** Collects a body chunk by chunk. */
export class ByteCollector {
  size = 0
  readonly #limit: number
  #chunks: Buffer[] = []
  #mapped: ArrayBuffer | undefined

  /** `limit`: maximum size in bytes; the caller checks `size` before it pushes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  get isLarge(): boolean {
    return this.size >= LARGE_BYTES
  }

  /** Takes ownership of the chunk. */
  push(chunk: Buffer): void {
    this.size += chunk.length
    if (!this.isLarge) {
      this.#chunks.push(chunk)
      return
    }
    this.#mapped ??= mapped(0, this.#limit)
    let at = this.size - chunk.length - this.#chunks.reduce((bytes, { length }) => bytes + length, 0)
    for (const one of [...this.#chunks.splice(0), chunk]) {
      const needed = at + one.length
      if (needed > this.#mapped.byteLength) this.#mapped.resize(Math.min(this.#limit, needed + GROWTH_BYTES))
      new Uint8Array(this.#mapped).set(one, at)
      at = needed
      free(one)
    }
  }

  /** Discards everything. */
  clear(): void {
    this.#chunks = []
    if (this.#mapped) free(Buffer.from(this.#mapped))
    this.size = 0
    this.#mapped = undefined
  }

  /** Returns the whole body. */
  take(): Buffer {
    if (this.#mapped) return Buffer.from(this.#mapped, 0, this.size)
    if (this.#chunks.length === 1) return this.#chunks[0]!
    const body = Buffer.concat(this.#chunks)
    for (const chunk of this.#chunks.splice(0)) free(chunk)
    return body
  }
}

/** Encodes a text as UTF-8. */
export function encoded(text: string): Buffer {
  const size = Buffer.byteLength(text)
  if (size < LARGE_BYTES) return Buffer.from(text)
  const bytes = Buffer.from(mapped(size, size))
  bytes.write(text)
  return bytes
}

/** V8 maps memory for resizable buffers and allocates it for fixed ones. */
const mapped = (size: number, limit: number): ArrayBuffer => new ArrayBuffer(size, { maxByteLength: limit })

/** Returns the memory to the system, unless it may be shared. Remaining views of it are empty. */
export function free(body: Buffer | string): void {
  // An empty chunk may be one that its sender reuses.
  if (body.length === 0 || typeof body === 'string') return
  const { buffer, length } = body
  const isOwn = buffer instanceof ArrayBuffer && (buffer.resizable || buffer.byteLength === length)
  if (isOwn && !buffer.detached) buffer.transferToFixedLength(0)
}

/**
 * The same for a body that was sent: a large one in pieces. The bytes of a small one may still be in a socket's queue
 * or belong to a further attempt, so they are left to the garbage collector.
 */
export function freeSent(body: Buffer | string): void {
  if (body.length >= LARGE_BYTES) free(body)
}

/**
 * Yields a large body in pieces for a socket. Each piece is copied, so that the body may be freed independent of the
 * connection, and other calls have their turn in between. Throws when the body was freed before the last piece.
 */
export async function* piecesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
  const size = bytes.length
  for (let from = 0; from < size; from += PIECE_BYTES) {
    if (bytes.length === 0) throw new Error('the call has ended')
    // A socket that requests the next piece has sent this one.
    const copied = bytes.copy(piece, 0, from, from + PIECE_BYTES)
    yield piece.subarray(0, copied)
    // A fast peer takes megabytes in one turn of the event loop.
    await nextTurn()
  }
}
