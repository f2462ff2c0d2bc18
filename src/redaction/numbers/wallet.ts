/** Wallet addresses: Bitcoin by checksum (base58check, bech32), Ethereum and compatible ones by form. */

import { createHash } from 'node:crypto'
import * as ascii from '../../core/ascii.ts'
import { isAlphanumeric } from '../text/characters.ts'
import { beginsWord } from '../text/digits.ts'
import { hexValue } from '../text/escapes.ts'
import type { Match } from '../text/match.ts'
import type { TextWindow } from '../text/text-window.ts'

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const BECH32 = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const MAX_LENGTH = 64

/** Finds the address whose first digit is at `digit`: `0x…`, `1…`, `3…` or `bc1…`. */
export function findWallet(window: TextWindow, digit: number): Match | null {
  const first = window.text.charCodeAt(digit)
  if (first === ascii.ZERO) return findEthereum(window, digit)
  if (first !== ascii.ONE && first !== ascii.THREE) return null
  const isBech32 = first === ascii.ONE && window.text.startsWith('bc', digit - 2) && digit - 2 >= window.floor
  const start = isBech32 ? digit - 2 : digit
  if (!beginsWord(window, start)) return null
  window.candidate = start
  let end = digit
  while (end - start < MAX_LENGTH && window.at(end) < ascii.END && isAlphanumeric(window.at(end))) end++
  const length = end - start
  if (length < 26 || length === MAX_LENGTH) return null
  const address = window.text.slice(start, end)
  const isValid = isBech32 ? isBech32Address(address) : length < 36 && isBase58Address(address)
  return isValid ? { type: 'crypto_wallet', start, end } : null
}

function findEthereum(window: TextWindow, start: number): Match | null {
  if (!beginsWord(window, start)) return null
  window.candidate = start
  if (window.at(start + 1) !== ascii.LOWER_X) return null
  const end = start + 42
  for (let i = start + 2; i < end; i++) if (hexValue(window.at(i)) < 0) return null
  if (isAlphanumeric(window.at(end))) return null
  return new Set(window.text.slice(start + 2, end)).size < 6 ? null : { type: 'crypto_wallet', start, end }
}

/** 25 bytes, of which the last four are the start of the double hash of the others. */
function isBase58Address(address: string): boolean {
  let value = 0n
  for (const character of address) {
    const digit = BASE58.indexOf(character)
    if (digit < 0) return false
    value = value * 58n + BigInt(digit)
  }
  const hex = value.toString(16)
  if (hex.length > 50) return false
  const bytes = Buffer.from(hex.padStart(50, '0'), 'hex')
  const hash = sha256(sha256(bytes.subarray(0, 21)))
  return hash.subarray(0, 4).equals(bytes.subarray(21))
}

const sha256 = (bytes: Buffer): Buffer => createHash('sha256').update(bytes).digest()

/** The checksum of BIP 173 and BIP 350. */
function isBech32Address(address: string): boolean {
  const lower = address.toLowerCase()
  if (address !== lower && address !== address.toUpperCase()) return false
  const values = [3, 3, 0, 2, 3, ...[...lower.slice(3)].map((character) => BECH32.indexOf(character))]
  if (values.includes(-1)) return false
  let sum = 1
  for (const value of values) {
    const top = sum >>> 25
    sum = ((sum & 0x1ffffff) << 5) ^ value
    for (let bit = 0; bit < 5; bit++) if ((top >> bit) & 1) sum ^= GENERATOR[bit] as number
  }
  return sum === 1 || sum === 0x2bc830a3
}

const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]
