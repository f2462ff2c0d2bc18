/** Compressed request bodies: decoded within the limit of a body, since what is not read is neither priced nor redacted. */
import type { Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createZstdDecompress } from 'node:zlib'
import { CageError } from '../../core/errors.ts'
import { bodyTooLarge } from '../provider/client.ts'
import { ByteCollector, free } from './bytes.ts'
import type { HeldBytes } from './held-bytes.ts'

const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}

/**
 * Returns the body without its Content-Encoding; takes ownership of `bytes`. Throws CageError `unsupported_encoding`,
 * `bad_request` for a body that is not encoded so, `body_too_large`, and `too_many_streams` when there is no room.
 */
export async function decodeBody(
  bytes: Buffer,
  encoding: string | undefined,
  { limit, held }: { limit: number; held: Pick<HeldBytes, 'growTo'> },
): Promise<Buffer> {
  const name = encoding?.trim().toLowerCase() || 'identity'
  if (name === 'identity' || bytes.length === 0) return bytes
  const decoder = Object.hasOwn(DECODERS, name) ? DECODERS[name]!() : undefined
  if (!decoder) throw unsupported(name)
  const collected = new ByteCollector(limit)
  try {
    decoder.end(bytes)
    for await (const chunk of decoder as AsyncIterable<Buffer>) {
      if (collected.size + chunk.length > limit) throw bodyTooLarge(limit)
      collected.push(chunk)
      if (collected.isLarge) held.growTo(collected.size)
    }
    return collected.take()
  } catch (error) {
    collected.clear()
    if (error instanceof CageError) throw error
    throw new CageError('bad_request', `the request's body is not valid ${name}`, { cause: error })
  } finally {
    decoder.destroy()
    free(bytes)
  }
}

const unsupported = (encoding: string): CageError =>
  new CageError('unsupported_encoding', `the request's body is encoded as "${encoding}", which is not read here`, {
    facts: { encoding },
  })
