/** AES-256-GCM, the only encryption here: a new nonce for every text, whose context is authenticated with it. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const ALGORITHM = 'aes-256-gcm'
/** In bytes, like the tag. */
export const NONCE_BYTES = 12
const TAG_BYTES = 16

export interface Encrypted {
  /** Of NONCE_BYTES. */
  nonce: Uint8Array
  /** The last 16 bytes are the tag. */
  ciphertext: Uint8Array
}

/** `key`: 32 bytes. `about`: the context that the text is bound to; it is not encrypted. */
export function encrypt(key: Uint8Array, plain: Uint8Array, about: Uint8Array): { nonce: Buffer; ciphertext: Buffer } {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(ALGORITHM, key, nonce).setAAD(about)
  return { nonce, ciphertext: Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()]) }
}

/** Undefined for a text that was encrypted with another key or for another context. */
export function decrypt(key: Uint8Array, { nonce, ciphertext }: Encrypted, about: Uint8Array): Buffer | undefined {
  const end = ciphertext.length - TAG_BYTES
  if (nonce.length !== NONCE_BYTES || end < 0) return undefined
  const cipher = createDecipheriv(ALGORITHM, key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(about).setAuthTag(ciphertext.subarray(end))
  try {
    return Buffer.concat([cipher.update(ciphertext.subarray(0, end)), cipher.final()])
  } catch {
    return undefined
  }
}
