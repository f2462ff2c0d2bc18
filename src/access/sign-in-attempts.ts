/**
 * Bounds guesses of passwords. Failures are counted by name and address, so that a person who signs in from elsewhere
 * cannot be locked out, and by address, which slows down trials of many names. A name that signed in from an address
 * before is not slowed down by the failures of others there.
 */
import { isIPv6 } from 'node:net'
import { CageError } from '../core/errors.ts'
import type { AttemptStore, Backoff } from './backoff.ts'
import { isLoopback } from './localhost.ts'

export class SignInAttempts {
  readonly #byName: Backoff
  readonly #byAddress: Backoff
  readonly #store: AttemptStore

  constructor(store: AttemptStore) {
    this.#store = store
    this.#byName = store.failures('name', 5)
    // Several people can share an address; on localhost all do.
    this.#byAddress = store.failures('address', 20)
  }

  /**
   * Returns what `check` finds; undefined is a failure. Throws CageError `unauthorized`, `too_many_attempts` after failures
   * of this name from this address, or of any name from an address where this one never signed in, and what `check` throws,
   * which counts as no attempt.
   */
  async run<Found>(
    { name, address }: { name: string; address: string },
    check: () => Promise<Found | undefined>,
  ): Promise<Found> {
    const source = sourceOf(address)
    const key = `${name} ${source}`
    const isProven = await this.#store.isProven(key)
    const takeBack = () => (isProven ? undefined : this.#byAddress.takeBack(source))
    if (!isProven) await this.#byAddress.begin(source)
    try {
      await this.#byName.begin(key)
    } catch (error) {
      await takeBack()
      throw error
    }
    let found: Found | undefined
    try {
      found = await check()
    } catch (error) {
      await this.#byName.takeBack(key)
      await takeBack()
      throw error
    }
    if (found === undefined) {
      throw new CageError('unauthorized', 'wrong user name or password', { hint: 'check both and try again' })
    }
    await this.#byName.forget(key)
    await takeBack()
    await this.#store.prove(key)
    return found
  }
}

/** All addresses of this machine count as one, and all of an IPv6 network (64 bits). */
export function sourceOf(address: string): string {
  const plain = address.replace(/^::ffff:/, '')
  if (isLoopback(plain)) return 'localhost'
  if (!isIPv6(plain)) return plain
  const [head = '', tail] = plain.split('::')
  const groups = head.split(':').filter(Boolean)
  const after = tail?.split(':').filter(Boolean) ?? []
  return [...groups, ...Array(8 - groups.length - after.length).fill('0'), ...after].slice(0, 4).join(':')
}
