/** Messages to and from the thread of large bodies: plain data, with large bytes transferred and errors preserved. */
import { CageError } from '../../core/errors.ts'

/** `transfers`: receives the memory to transfer. */
export function pack(value: unknown, transfers: ArrayBuffer[]): unknown {
  if (value instanceof CageError) {
    const { code, message, facts, hint, cause } = value
    return { cageError: { code, message, facts, hint, cause: cause instanceof Error ? cause.stack : cause } }
  }
  if (value instanceof Uint8Array) {
    if (value.buffer instanceof ArrayBuffer && value.buffer.resizable) transfers.push(value.buffer)
    return value
  }
  return mapFields(value, (field) => pack(field, transfers))
}

/** Reverses `pack`. */
export function unpack(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length)
  if (isPlain(value) && isPlain(value.cageError)) {
    const { code, message, ...options } = value.cageError as unknown as CageError
    return new CageError(code, message, options)
  }
  return mapFields(value, (field) => unpack(field))
}

function mapFields(value: unknown, map: (field: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(map)
  return isPlain(value) ? Object.fromEntries(Object.entries(value).map(([name, field]) => [name, map(field)])) : value
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
