/**
 * The vault's own key: 32 random bytes, kept in the database (`meta`, "vault") sealed under the master key. Opening it
 * verifies the master key. Keys for row hashes, originals of incidents and other purposes are derived from it.
 */
import { hkdfSync, randomBytes } from 'node:crypto'
import { type About, type Keys, newSalt, PARAMETERS, seal, unseal } from './seal.ts'

const ABOUT: About = ['iron-cage vault 1', PARAMETERS]

export class RootKey {
  readonly #bytes: Buffer

  private constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  static random(): RootKey {
    return new RootKey(randomBytes(32))
  }

  /** Opens a result of `sealedUnder`; undefined for another master key. */
  static async open(keys: Keys, stored: string): Promise<RootKey | undefined> {
    const { salt = '', nonce = '', key = '' } = JSON.parse(stored) as Record<string, string>
    const sealed = { nonce: Buffer.from(nonce, 'hex'), ciphertext: Buffer.from(key, 'hex') }
    const bytes = unseal(await keys.keyFor(Buffer.from(salt, 'hex')), sealed, ABOUT)
    return bytes && new RootKey(bytes)
  }

  /** As text, to be stored. */
  async sealedUnder(keys: Keys): Promise<string> {
    const salt = newSalt()
    const { nonce, ciphertext } = seal(await keys.keyFor(salt), this.#bytes, ABOUT)
    return JSON.stringify({ salt: salt.toString('hex'), nonce: nonce.toString('hex'), key: ciphertext.toString('hex') })
  }

  /** 32 bytes, the same for a purpose at each start. */
  keyFor(purpose: string): Uint8Array {
    return new Uint8Array(hkdfSync('sha256', this.#bytes, '', `iron-cage ${purpose}`, 32))
  }
}
