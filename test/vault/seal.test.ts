import { expect, test } from 'vitest'
import { Keys, newSalt, seal, unseal, withLengths } from '../../src/vault/seal.ts'
import fc from '../support/fast-check.ts'
import { KEY } from './support.ts'

const about = ['iron-cage secret 1', 'secret-1', 'OPENAI_API_KEY', 'production', 3, 'parameters']

test('a sealed value opens with the same key at the same place', () => {
  const key = Buffer.alloc(32, 7)
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(unseal(key, seal(key, bytes, about), about)).toEqual(Buffer.from(bytes))
    }),
  )
})

test('nothing opens when one bit of key, nonce, text, tag or bound data is changed', () => {
  const key = Buffer.alloc(32, 7)
  const { nonce, ciphertext } = seal(key, Buffer.from('sk-canary-0123456789'), about)
  let flips = 0
  const refuses = (given: { key?: Buffer; nonce?: Buffer; ciphertext?: Buffer; about?: (string | number)[] }) => {
    const all = { key, nonce, ciphertext, about, ...given }
    expect(unseal(all.key, all, all.about)).toBeUndefined()
    flips += 1
  }
  for (const flipped of everyFlip(key)) refuses({ key: flipped })
  for (const flipped of everyFlip(nonce)) refuses({ nonce: flipped })
  for (const flipped of everyFlip(ciphertext)) refuses({ ciphertext: flipped })
  about.forEach((part, index) => {
    for (const flipped of everyFlip(Buffer.from(String(part)))) {
      refuses({ about: about.with(index, flipped.toString('latin1')) })
    }
  })
  for (let length = 0; length < ciphertext.length; length++) refuses({ ciphertext: ciphertext.subarray(0, length) })
  expect(flips).toBeGreaterThan(1_000)
})

test('bound fields cannot be shifted into each other', () => {
  expect(withLengths(['ab', 'c'])).not.toEqual(withLengths(['a', 'bc']))
  expect(withLengths(['', null])).not.toEqual(withLengths([null, '']))
})

test('a key is derived once for each salt, at most two at once', async () => {
  const keys = new Keys(KEY)
  const salts = Array.from({ length: 6 }, newSalt)
  const derived = await Promise.all([...salts, ...salts].map((salt) => keys.keyFor(salt)))
  expect(new Set(derived.map((key) => key.toString('hex'))).size).toBe(6)
  expect(derived.slice(0, 6)).toEqual(derived.slice(6))
  expect(derived[0]).toHaveLength(32)
  // The result of the reference implementation: argon2 -id -t 2 -k 19456 -p 1 -l 32.
  const known = await new Keys('password-password-password').keyFor(Buffer.from('somesaltsomesalt'))
  expect(known.toString('hex')).toBe(await reference())
})

async function reference(): Promise<string> {
  const { hash } = await import('@node-rs/argon2')
  const text = await hash('password-password-password', { salt: Buffer.from('somesaltsomesalt') })
  return Buffer.from(text.split('$').at(-1)!, 'base64').toString('hex')
}

function* everyFlip(bytes: Buffer): Generator<Buffer> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    yield flipped
  }
}
