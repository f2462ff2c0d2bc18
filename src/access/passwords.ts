/**
 * Passwords: Argon2id, computed on a separate thread, at most two at once, as each takes 19 MiB. The stored hash names
 * its parameters (PHC string), so that they can be raised later. Passwords are never stored or logged.
 */
import { randomBytes } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'
import { CageError } from '../core/errors.ts'

const MEMORY_KIB = 19_456
const PASSES = 2
const AT_ONCE = 2
/** Some three seconds of work; further requests are refused. */
const MAX_WAITING = 64

/** In characters. */
export const PASSWORD_LENGTH = { least: 8, most: 256 }

let running = 0
const waiting: (() => void)[] = []

/** Throws CageError `bad_request` for a password that is too short or too long. */
export async function hashPassword(password: string): Promise<string> {
  const length = [...password].length
  if (length < PASSWORD_LENGTH.least || length > PASSWORD_LENGTH.most) {
    throw new CageError(
      'bad_request',
      `expected a password of ${PASSWORD_LENGTH.least} to ${PASSWORD_LENGTH.most} characters, got ${length}`,
      { hint: 'choose another one; a sentence is easy to remember' },
    )
  }
  // Argon2id is the package's default.
  return inTurn(() => hash(typed(password), { memoryCost: MEMORY_KIB, timeCost: PASSES, parallelism: 1 }))
}

/** `stored`: result of `hashPassword`; undefined for an unknown user, which takes as long and returns false. */
export function verifyPassword(stored: string | undefined, password: string): Promise<boolean> {
  return inTurn(async () => (await verify(stored ?? DUMMY_HASH, typed(password))) && stored !== undefined)
}

const base64 = (bytes: number): string => randomBytes(bytes).toString('base64').replaceAll('=', '')

/** A hash that no password matches. */
export const DUMMY_HASH = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=1$${base64(16)}$${base64(32)}`

/** Unicode normalization: the same characters can be typed as different bytes. */
const typed = (password: string): string => password.normalize('NFKC')

/** Throws CageError `too_many_attempts` when too many are waiting. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) {
    if (waiting.length >= MAX_WAITING) {
      throw new CageError('too_many_attempts', 'too many passwords are being checked', { retryAfterS: 3 })
    }
    // The slot goes to the next in line.
    await new Promise<void>((resolve) => waiting.push(resolve))
  } else {
    running += 1
  }
  try {
    return await work()
  } finally {
    const next = waiting.shift()
    if (next) next()
    else running -= 1
  }
}
