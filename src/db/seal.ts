/**
 * Seals data that is stored verbatim and is not ours to read (replies of services, checkpoints of agents): a copy of
 * the database, in a backup or a bug report, reveals nothing of it. The key is in `<database>.data-key`, readable by
 * this user only, created when first needed; a user who can read both files can read everything, as the agent itself
 * can.
 */
import { hkdfSync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { decrypt, encrypt, NONCE_BYTES } from '../core/aes-gcm.ts'
import { CageError } from '../core/errors.ts'
import { createOwnFile, dataKeyPath } from './files.ts'

export interface Seal {
  /** AES-256-GCM. `about`: the place the data belongs to; it opens nowhere else. */
  seal(plain: Uint8Array, about: string): Buffer
  /** Throws CageError `database_unusable` for data that was not sealed with this key for this place. */
  unseal(sealed: Uint8Array, about: string): Buffer
  /** A key of 32 bytes for another purpose. */
  deriveKey(purpose: string): Buffer
}

export function openSeal(databasePath: string): Seal {
  let main: Buffer | undefined
  const keys = new Map<string, Buffer>()
  const deriveKey = (purpose: string): Buffer => {
    main ??= databasePath === ':memory:' ? randomBytes(32) : readOrMakeKey(dataKeyPath(databasePath))
    const key = keys.get(purpose) ?? Buffer.from(hkdfSync('sha256', main, '', `iron-cage ${purpose}`, 32))
    keys.set(purpose, key)
    return key
  }
  return {
    deriveKey,
    seal(plain, about) {
      const { nonce, ciphertext } = encrypt(deriveKey('seal'), plain, Buffer.from(about))
      return Buffer.concat([nonce, ciphertext])
    },
    unseal(sealed, about) {
      const parts = { nonce: sealed.subarray(0, NONCE_BYTES), ciphertext: sealed.subarray(NONCE_BYTES) }
      const plain = decrypt(deriveKey('seal'), parts, Buffer.from(about))
      if (plain) return plain
      throw new CageError('database_unusable', `cannot decrypt ${about}`, {
        hint: `restore the original ${dataKeyPath(databasePath)}`,
      })
    },
  }
}

function readOrMakeKey(path: string): Buffer {
  try {
    const key = Buffer.from(readFileSync(path, 'utf8').trim(), 'base64')
    if (key.length === 32) return key
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    const key = randomBytes(32)
    createOwnFile(path, `${key.toString('base64')}\n`)
    return key
  }
  throw new CageError('database_unusable', `${path} does not hold a key`, { hint: 'restore the original file' })
}
