/**
 * Sealing: AES-256-GCM under a 32-byte key that Argon2id derives from the master key and the secret's own salt. Pure
 * except for randomness; it is used by `secret-row.ts`, `root-key.ts` and `originals.ts`.
 *
 * The rules are:
 * - The salt belongs to a secret and stays; every sealing has a new nonce. So a new value needs no new derivation.
 * - The context of a value is sealed with it as associated data: each part after its length, so that no two lists
 *   encode to the same bytes. A value opens only where it was sealed.
 * - Derivations run on threads, at most two at once: each takes 19 MiB and some twenty milliseconds of a core.
 */
import { randomBytes } from 'node:crypto'
import { hashRaw } from '@node-rs/argon2'
import { decrypt, type Encrypted, encrypt } from '../core/aes-gcm.ts'

/** Sealed with every value, so that a later version cannot be made to use weaker parameters. */
export const PARAMETERS = 'aes-256-gcm argon2id m=19456 t=2 p=1'

const ARGON2ID = { algorithm: 2, memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 } as const
const AT_ONCE = 2
const SALT = 16

/** The stored form of a value; the tag is the end of the ciphertext. */
export interface Sealed extends Encrypted {
  nonce: Buffer
  ciphertext: Buffer
}

/** The context that a value is bound to, in order. */
export type About = readonly (string | number)[]

export const newSalt = (): Buffer => randomBytes(SALT)

export const seal = (key: Uint8Array, plain: Uint8Array, about: About): Sealed =>
  encrypt(key, plain, withLengths(about))

/** Undefined for data that was sealed with another key or for another place. */
export const unseal = (key: Uint8Array, sealed: Encrypted, about: About): Buffer | undefined =>
  decrypt(key, sealed, withLengths(about))

/** Each part after its length in bytes (4 bytes, big-endian), in UTF-8; null as the length ffffffff. */
export function withLengths(parts: readonly (string | number | Uint8Array | null)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4)
      if (part === null) return [length.fill(0xff)]
      const bytes = part instanceof Uint8Array ? part : Buffer.from(String(part))
      length.writeUInt32BE(bytes.length)
      return [length, bytes]
    }),
  )
}

/** The keys derived from one master key, one per salt, kept until `forget`. */
export class Keys {
  readonly #masterKey: string
  readonly #keys = new Map<string, Promise<Buffer>>()
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor(masterKey: string) {
    this.#masterKey = masterKey
  }

  keyFor(salt: Uint8Array): Promise<Buffer> {
    const name = Buffer.from(salt).toString('hex')
    const key = this.#keys.get(name) ?? this.#derive(salt)
    this.#keys.set(name, key)
    return key
  }

  forget(): void {
    for (const key of this.#keys.values()) void key.then((bytes) => bytes.fill(0))
    this.#keys.clear()
  }

  async #derive(salt: Uint8Array): Promise<Buffer> {
    if (this.#running === AT_ONCE) await new Promise<void>((turn) => this.#waiting.push(turn))
    else this.#running += 1
    try {
      return await hashRaw(this.#masterKey, { ...ARGON2ID, salt })
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#running -= 1
    }
  }
}
