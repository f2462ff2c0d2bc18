/** Compressed bodies, which are decoded within the limit of a body: an unread body is neither priced nor redacted. */
import type { Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate, createInflateRaw, createZstdDecompress } from 'node:zlib'
import { CageError } from '../../core/errors.ts'
import { bodyTooLarge } from '../provider/client.ts'
import { ByteCollector, free } from './bytes.ts'
import type { HeldBytes } from './held-bytes.ts'

/** By the names of content encodings. */
const DECODERS: Readonly<Record<string, () => Transform>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  zstd: createZstdDecompress,
}

/** Whether a body is encoded; undefined for an encoding that is not read here. */
export function isEncoded(encoding: string | undefined): boolean | undefined {
  const name = nameOf(encoding)
  return name === 'identity' ? false : Object.hasOwn(DECODERS, name) || undefined
}

/** Returns a decoder for a body in a known encoding, of which these are the first bytes. */
export function decoderFor(encoding: string | undefined, start: Uint8Array): Transform {
  const name = nameOf(encoding)
  // Some servers leave out the header of zlib, which names its method.
  const isRaw = name === 'deflate' && (start[0]! & 0x0f) !== DEFLATE_METHOD
  return isRaw ? createInflateRaw() : DECODERS[name]!()
}

const nameOf = (encoding: string | undefined): string => encoding?.trim().toLowerCase() || 'identity'
const DEFLATE_METHOD = 8

/**
 * Returns a request's body without its Content-Encoding; takes ownership of `bytes`. Throws CageError `unsupported_encoding`,
 * `bad_request` for a body that is not encoded so, `body_too_large`, and `too_many_streams` when there is no room.
 */
export async function decodeBody(
  bytes: Buffer,
  encoding: string | undefined,
  { limit, held }: { limit: number; held: Pick<HeldBytes, 'growTo'> },
): Promise<Buffer> {
  const isRead = bytes.length === 0 ? false : isEncoded(encoding)
  if (isRead === false) return bytes
  if (isRead === undefined) throw unsupported(nameOf(encoding))
  const decoder = decoderFor(encoding, bytes)
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
    throw new CageError('bad_request', `the request's body is not valid ${nameOf(encoding)}`, { cause: error })
  } finally {
    decoder.destroy()
    free(bytes)
  }
}

const unsupported = (encoding: string): CageError =>
  new CageError('unsupported_encoding', `the request's body is encoded as "${encoding}", which is not read here`, {
    facts: { encoding },
  })
