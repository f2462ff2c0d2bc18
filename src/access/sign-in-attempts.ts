/**
 * Bounds guesses of passwords. Failures are counted by name and address, so that nobody can lock out a person who signs in
 * from elsewhere, and by address, which slows down whoever tries many names. A name that signed in from an address before
 * is not slowed down by the failures of others there.
 */
import { isIPv6 } from 'node:net'
import type { Clock } from '../clock.ts'
import { CageError } from '../errors.ts'
import { Backoff } from './backoff.ts'
import { isLoopback } from './localhost.ts'

const MAX_PROVEN = 10_000

export class SignInAttempts {
  readonly #byName: Backoff
  readonly #byAddress: Backoff
  readonly #provenAt = new Set<string>()

  constructor(clock: Clock) {
    this.#byName = new Backoff(clock, 5)
    // Several people can share an address; on localhost all do.
    this.#byAddress = new Backoff(clock, 20)
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
    const isProven = this.#provenAt.has(key)
    const takeBack = () => isProven || this.#byAddress.takeBack(source)
    if (!isProven) this.#byAddress.begin(source)
    try {
      this.#byName.begin(key)
    } catch (error) {
      takeBack()
      throw error
    }
    const found = await check().catch((error: unknown) => {
      this.#byName.takeBack(key)
      takeBack()
      throw error
    })
    if (found === undefined) {
      throw new CageError('unauthorized', 'wrong user name or password', { hint: 'check both and try again' })
    }
    this.#byName.forget(key)
    takeBack()
    this.#prove(key)
    return found
  }

  /** Keeps the most recent ones. */
  #prove(key: string): void {
    this.#provenAt.delete(key)
    this.#provenAt.add(key)
    if (this.#provenAt.size > MAX_PROVEN) this.#provenAt.delete(this.#provenAt.values().next().value!)
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
