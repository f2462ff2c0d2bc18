/**
 * What redaction took from a client and the provider wants back unchanged: thinking that the provider signed, and token
 * ids that only the provider can read. The client gets the original sealed, in the place of the signature or the ids, and
 * sends it back with the conversation; the request to the provider has the original again. Nothing is stored: the seal
 * holds the original, and opens with the key of this server's database, also after a restart.
 */
import { decrypt, encrypt, NONCE_BYTES } from '../../core/aes-gcm.ts'
import { CageError } from '../../core/errors.ts'
import { isObject, isRawNumber, type Json, type JsonObject } from '../../dialects/json.ts'
import { isSignature } from '../../dialects/texts.ts'

export class SealedOriginals {
  /** In base64; other threads make their own `SealedOriginals` with it. */
  readonly key: string
  readonly #key: Buffer

  /** `key`: 32 bytes in base64. */
  constructor(key: string) {
    this.key = key
    this.#key = Buffer.from(key, 'base64')
  }

  /** Returns base64 that a client keeps as a signature. */
  seal(original: Json): string {
    return this.#bytes(original).toString('base64')
  }

  /** Returns numbers that a client keeps as token ids. */
  sealNumbers(original: Json): number[] {
    const bytes = this.#bytes(original)
    const padded = Buffer.concat([bytes, Buffer.alloc(BYTES_PER_NUMBER)])
    const numbers = [NUMBERS_MARK, bytes.length]
    for (let at = 0; at < bytes.length; at += BYTES_PER_NUMBER) numbers.push(padded.readUIntBE(at, BYTES_PER_NUMBER))
    return numbers
  }

  /** Returns the value with every original in its place. Throws CageError `bad_request` for one that cannot be opened. */
  restore<T extends Json>(value: T): T {
    return this.#restored(value) as T
  }

  #restored(value: Json): Json {
    if (Array.isArray(value)) return this.#ofNumbers(value) ?? value.map((item) => this.#restored(item))
    if (!isObject(value) || isRawNumber(value)) return value
    for (const name in value) {
      const text = value[name]
      if (typeof text === 'string' && isSignature(name) && text.startsWith(MARK)) return this.#open(text)
    }
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.#restored(item!)])) as JsonObject
  }

  #ofNumbers(list: Json[]): Json | undefined {
    if (!areSealedNumbers(list)) return undefined
    const [, length, ...packed] = list as number[]
    const numbers = packed.filter(isPacked)
    const bytes = Buffer.alloc(numbers.length * BYTES_PER_NUMBER)
    for (const [at, number] of numbers.entries()) bytes.writeUIntBE(number, at * BYTES_PER_NUMBER, BYTES_PER_NUMBER)
    return this.#open(bytes.subarray(0, length).toString('base64'))
  }

  #bytes(original: Json): Buffer {
    const { nonce, ciphertext } = encrypt(this.#key, Buffer.from(JSON.stringify(original)), ABOUT)
    return Buffer.concat([Buffer.from(MARK, 'base64'), nonce, ciphertext])
  }

  /** Clients may write base64 for URLs. */
  #open(sealed: string): Json {
    const bytes = Buffer.from(sealed, 'base64').subarray(MARK_BYTES)
    const parts = { nonce: bytes.subarray(0, NONCE_BYTES), ciphertext: bytes.subarray(NONCE_BYTES) }
    const plain = decrypt(this.#key, parts, ABOUT)
    if (plain) return JSON.parse(plain.toString('utf8')) as Json
    throw new CageError(
      'bad_request',
      'the conversation holds a text that another server sealed, or that was changed',
      {
        hint: 'send the reply back as it came, to the same server; or start the conversation anew',
      },
    )
  }
}

/** Whether a list is what `sealNumbers` returns. */
export const areSealedNumbers = ([mark, length]: readonly Json[]): boolean =>
  mark === NUMBERS_MARK && typeof length === 'number'

/** Whether anything in a request may be sealed. Both marks are plain ASCII in any JSON. */
export const mayHoldSealed = (json: string | Buffer): boolean =>
  json.includes(MARK) || json.includes(String(NUMBERS_MARK))

/** What every seal begins with, in base64. */
const MARK = 'IronCageSeal'
const MARK_BYTES = 9
/** What sealed numbers begin with: larger than the id of any token. */
const NUMBERS_MARK = 1_232_236_398
/** Small enough for every client's integers. */
const BYTES_PER_NUMBER = 3
const ABOUT = Buffer.from('an original that goes back to its provider')

const isPacked = (item: Json): item is number =>
  typeof item === 'number' && Number.isInteger(item) && item >= 0 && item < 2 ** (8 * BYTES_PER_NUMBER)
