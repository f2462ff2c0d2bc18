/**
 * The bank's signed statements. A runtime keeps the leases that it was granted, so that books which have lost their
 * last commits can be completed from what runtimes present; a lease names its runtime, and is worth nothing to another
 * one. A bookmark marks a state of the books. Only the bank verifies them, so one key of the panel's processes is
 * enough; it is in the panel's database, and older than any commit that was lost with a server.
 */
import { createHmac, timingSafeEqual } from 'node:crypto'
import * as z from 'zod'
import { type Nanodollars, nanodollars } from '../../core/money.ts'

/** A lease as it was granted. */
export interface SignedLease {
  id: string
  runtimeId: string
  /** The accounts that it was taken from. */
  path: readonly string[]
  granted: Nanodollars
}

/** A place in the books. */
export interface Bookmark {
  generation: number
  /** Of the last movement of money. */
  position: number
}

const signedLease = z.strictObject({
  id: z.string(),
  runtimeId: z.string(),
  path: z.array(z.string()),
  granted: z.number().int().positive().transform(nanodollars),
})

/** Its content, unverified; undefined if it cannot be read. */
export function readSigned(signed: string): SignedLease | undefined {
  try {
    return signedLease.parse(JSON.parse(Buffer.from(signed.split('.', 1)[0]!, 'base64url').toString()))
  } catch {
    return undefined
  }
}

export class Signatures {
  readonly #key: Uint8Array

  constructor(key: Uint8Array) {
    this.#key = key
  }

  sign({ id, runtimeId, path, granted }: SignedLease): string {
    return this.#signed(Buffer.from(JSON.stringify({ id, runtimeId, path, granted })).toString('base64url'))
  }

  bookmark({ generation, position }: Bookmark): string {
    return this.#signed(`${generation}-${position}`)
  }

  /** Undefined unless this key signed it. */
  readBookmark(signed: string): Bookmark | undefined {
    const [, generation, position] = /^(\d+)-(\d+)\./.exec(signed) ?? []
    return generation !== undefined && this.isOwn(signed)
      ? { generation: Number(generation), position: Number(position) }
      : undefined
  }

  /** Whether this key signed it. */
  isOwn(signed: string): boolean {
    const [said = '', signature = ''] = signed.split('.')
    const [given, own] = [Buffer.from(signature, 'base64url'), this.#of(said)]
    return given.length === own.length && timingSafeEqual(given, own)
  }

  #signed(said: string): string {
    return `${said}.${this.#of(said).toString('base64url')}`
  }

  #of(said: string): Buffer {
    return createHmac('sha256', this.#key).update(said).digest()
  }
}
