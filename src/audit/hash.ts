/** The hash of a row. `docs/audit.md` specifies it for independent verification. */
import { createHmac, type KeyObject } from 'node:crypto'
import type { AuditRow } from '../db/tables/audit.ts'

/** The end of a chain: the number and the hash of its last row. */
export interface Head {
  /** Also the number of rows. */
  seq: number
  hash: Buffer
}

/** Head of an empty chain, and the previous hash of the first row. */
export const BEGINNING: Head = { seq: 0, hash: Buffer.alloc(32) }

const NAME = Buffer.from('iron-cage audit 1')
const NULL_LENGTH = 0xffffffff

/**
 * HMAC-SHA256 over: "iron-cage audit 1", the previous hash (32 bytes), seq (8 bytes, big-endian), then at, role, actor,
 * action, target and details in UTF-8, each after its length in bytes (4 bytes, big-endian; ffffffff for null).
 */
export function auditHash(key: KeyObject, row: Omit<AuditRow, 'hash'>): Buffer {
  const { seq, at, role, actor, action, target, details, previous } = row
  const parts = [at, role, actor, action, target, details]
  let size = NAME.length + previous.length + 8
  for (const part of parts) size += 4 + (part === null ? 0 : Buffer.byteLength(part))
  const bytes = Buffer.allocUnsafe(size)
  let position = NAME.copy(bytes)
  position += previous.copy(bytes, position)
  position = bytes.writeBigInt64BE(BigInt(seq), position)
  for (const part of parts) {
    const length = part === null ? 0 : bytes.write(part, position + 4)
    bytes.writeUInt32BE(part === null ? NULL_LENGTH : length, position)
    position += 4 + length
  }
  return createHmac('sha256', key).update(bytes).digest()
}
