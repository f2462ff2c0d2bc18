/** Bytes that no exporter sends. */

import { expect } from 'vitest'
import { CageError } from '../../src/core/errors.ts'
import fc from '../support/fast-check.ts'

/** Random bytes, and `body` with changed, missing and added bytes, are each read by `read`, or refused by it as a bad request. */
export function readOddBytes(body: Uint8Array, read: (bytes: Uint8Array) => void): void {
  const judge = (bytes: Uint8Array): void => {
    try {
      read(bytes)
    } catch (error) {
      expect(error).toBeInstanceOf(CageError)
      expect(error).toMatchObject({ code: 'bad_request' })
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), judge), { numRuns: 5_000 })
  const change = fc.record({ at: fc.nat(body.length - 1), cut: fc.nat(4), put: fc.uint8Array({ maxLength: 4 }) })
  const mutated = fc.array(change, { minLength: 1, maxLength: 3 }).map((changes) =>
    changes.reduce((bytes, { at, cut, put }) => {
      return Buffer.concat([bytes.subarray(0, at), put, bytes.subarray(at + cut)])
    }, Buffer.from(body)),
  )
  fc.assert(fc.property(mutated, judge), { numRuns: 5_000 })
}
