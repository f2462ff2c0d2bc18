/**
 * Passwords: Argon2id, computed on a thread of its own, at most two at once, as each takes 19 MiB. What is stored names its
 * parameters (PHC text), so that they may grow later. Nobody else sees a password, and none is ever written.
 */
import { randomBytes } from 'node:crypto'
import { hash, verify } from '@node-rs/argon2'
import { CageError } from '../errors.ts'

const MEMORY_KIB = 19_456
const PASSES = 2
const AT_ONCE = 2
/** Some three seconds of work: whoever comes later waits at home. */
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

/** `stored`: what `hashPassword` gave; undefined, for a user that there is not, takes as long and is false. */
export function verifyPassword(stored: string | undefined, password: string): Promise<boolean> {
  return inTurn(async () => (await verify(stored ?? NOBODYS, typed(password))) && stored !== undefined)
}

const base64 = (bytes: number): string => randomBytes(bytes).toString('base64').replaceAll('=', '')

/** What no password gives. */
const NOBODYS = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=1$${base64(16)}$${base64(32)}`

/** The same characters may be typed as different bytes. */
const typed = (password: string): string => password.normalize('NFKC')

/** Throws CageError `too_many_attempts` when too many wait already. */
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) {
    if (waiting.length >= MAX_WAITING) {
      throw new CageError('too_many_attempts', 'too many passwords are being checked', { retryAfterS: 3 })
    }
    // Whoever ends hands over its place.
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
