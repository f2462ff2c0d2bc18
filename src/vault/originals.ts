/** The original text of an incident and the content of a call, sealed for their rows: they open nowhere else. */

import { NONCE_BYTES } from '../core/aes-gcm.ts'
import type { RootKey } from './root-key.ts'
import { type About, seal, unseal } from './seal.ts'

interface Kind {
  /** Of its key. */
  purpose: string
  about: (id: string) => About
}

export const ORIGINAL: Kind = { purpose: 'vault originals', about: (id) => ['iron-cage incident 1', id] }
export const CONTENT: Kind = { purpose: 'call contents', about: (id) => ['iron-cage call content 1', id] }

/** The nonce, then the ciphertext. */
export function sealFor(root: RootKey, { purpose, about }: Kind, id: string, value: Buffer): Buffer {
  const { nonce, ciphertext } = seal(root.keyFor(purpose), value, about(id))
  return Buffer.concat([nonce, ciphertext])
}

/** Undefined for data that `sealFor` did not make for this row. */
export function unsealFor(root: RootKey, { purpose, about }: Kind, id: string, sealed: Uint8Array): Buffer | undefined {
  const bytes = Buffer.from(sealed)
  const parts = { nonce: bytes.subarray(0, NONCE_BYTES), ciphertext: bytes.subarray(NONCE_BYTES) }
  return unseal(root.keyFor(purpose), parts, about(id))
}
