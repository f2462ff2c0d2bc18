/** Requirements of a master key, and how one is generated. */
import { randomBytes } from 'node:crypto'

/** 32 random bytes as 43 characters of base64url. */
export const newMasterKey = (): string => randomBytes(32).toString('base64url')

const MIN_CHARACTERS = 32
const MIN_DISTINCT = 12

/**
 * Returns why a key is too weak; undefined for a good one. It must be a key, not a passphrase: Argon2id slows guessing
 * down, but does not make a short key long.
 */
export function weaknessOf(key: string): string | undefined {
  if (key.length < MIN_CHARACTERS) return `it has ${key.length} characters, fewer than ${MIN_CHARACTERS}`
  if (new Set(key).size < MIN_DISTINCT) return 'it uses too few different characters'
  if (isRepeated(key)) return 'it repeats itself'
  if (stepsOf(key) > key.length / 2) return 'its characters are in sequence'
  return undefined
}

/** True for "abcabcabc…": the text contains itself, shifted by its period. */
const isRepeated = (key: string): boolean => {
  const period = (key + key).indexOf(key, 1)
  return period <= key.length / 2
}

/** Counts characters that follow the previous one in the alphabet, or repeat it. */
const stepsOf = (key: string): number =>
  [...key].filter((letter, index) => {
    const step = letter.charCodeAt(0) - key.charCodeAt(index - 1)
    return step === 0 || step === 1 || step === -1
  }).length

export const KEYGEN_HINT =
  'make a key with "iron-cage keygen --out master.key" and set IRON_CAGE_MASTER_KEY_FILE=master.key'
