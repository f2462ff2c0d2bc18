/**
 * Bodies in bytes. A large one lies in memory that is mapped for it alone and goes back to the system at once: what is
 * freed to the allocator stays with the process, and garbage stays until it is collected.
 */

/** From here on a body is large: it is read, redacted and written on a thread of its own (`large-bodies.ts`). */
export const LARGE_BYTES = 256 * 1024
/** A body that grows is given so much at a time. */
const GROWTH_BYTES = 1024 * 1024
/** As much of a body is given to a socket at a time; more than a socket keeps, so that each piece waits for the one before. */
const PIECE_BYTES = 256 * 1024

/** Takes a body in, chunk by chunk. */
export class ByteCollector {
  size = 0
  readonly #limit: number
  #chunks: Buffer[] = []
  #mapped: ArrayBuffer | undefined

  /** `limit`: no body has more bytes; the caller looks at `size` before it pushes. */
  constructor(limit: number) {
    this.#limit = limit
  }

  /** The chunk is the collector's from now on. */
  push(chunk: Buffer): void {
    this.size += chunk.length
    if (this.size < LARGE_BYTES) {
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

  /** Forgets all of it. */
  clear(): void {
    this.#chunks = []
    if (this.#mapped) free(Buffer.from(this.#mapped))
    this.size = 0
    this.#mapped = undefined
  }

  /** All of it. */
  take(): Buffer {
    if (this.#mapped) return Buffer.from(this.#mapped, 0, this.size)
    return this.#chunks.length === 1 ? this.#chunks[0]! : Buffer.concat(this.#chunks)
  }
}

/** A text in UTF-8. */
export function encoded(text: string): Buffer {
  const size = Buffer.byteLength(text)
  if (size < LARGE_BYTES) return Buffer.from(text)
  const bytes = Buffer.from(mapped(size, size))
  bytes.write(text)
  return bytes
}

/** V8 maps what may be resized, and allocates what may not. */
const mapped = (size: number, limit: number): ArrayBuffer => new ArrayBuffer(size, { maxByteLength: limit })

/** Gives the memory back, unless others may lie in it. Whoever still has the bytes sees none. */
export function free(body: Buffer | string): void {
  if (typeof body === 'string') return
  const { buffer, length } = body
  const isOwn = buffer instanceof ArrayBuffer && (buffer.resizable || buffer.byteLength === length)
  if (isOwn && !buffer.detached) buffer.transferToFixedLength(0)
}

/**
 * A large body for a socket. Each piece is copied: whatever becomes of the connection, the body may be freed. Throws when
 * it was, before all of it had gone.
 */
export async function* piecesOf(bytes: Buffer): AsyncGenerator<Buffer> {
  const piece = Buffer.allocUnsafeSlow(PIECE_BYTES)
  const size = bytes.length
  for (let from = 0; from < size; from += PIECE_BYTES) {
    if (bytes.length === 0) throw new Error('the call has ended')
    // Asked for the next piece, the socket has sent this one.
    const copied = bytes.copy(piece, 0, from, from + PIECE_BYTES)
    yield piece.subarray(0, copied)
  }
}
