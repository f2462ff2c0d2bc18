/** The original text of an incident, sealed for its row: it opens nowhere else. */

import { NONCE_BYTES } from '../aes-gcm.ts'
import type { RootKey } from './root-key.ts'
import { type About, seal, unseal } from './seal.ts'

const PURPOSE = 'vault originals'

const aboutOriginal = (incidentId: string): About => ['iron-cage incident 1', incidentId]

/** The nonce, then the ciphertext. */
export function sealOriginal(root: RootKey, incidentId: string, value: Buffer): Buffer {
  const { nonce, ciphertext } = seal(root.keyFor(PURPOSE), value, aboutOriginal(incidentId))
  return Buffer.concat([nonce, ciphertext])
}

/** Undefined for data that `sealOriginal` did not make. */
export function unsealOriginal(root: RootKey, incidentId: string, sealed: Uint8Array): Buffer | undefined {
  const bytes = Buffer.from(sealed)
  const parts = { nonce: bytes.subarray(0, NONCE_BYTES), ciphertext: bytes.subarray(NONCE_BYTES) }
  return unseal(root.keyFor(PURPOSE), parts, aboutOriginal(incidentId))
}
