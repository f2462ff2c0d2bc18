/**
 * Exports the audit as JSON lines: first a header with the method of verification, then every row exactly as hashed.
 */
import { setImmediate as othersTurn } from 'node:timers/promises'
import type { AuditRow } from '../db/tables/audit.ts'

/** A source of rows: the audit of a server, or a file opened read-only. */
export interface Rows {
  find(query: { after: number; limit: number }): AuditRow[]
}

const PAGE = 1_000

export async function* exportLines(rows: Rows): AsyncGenerator<string> {
  yield JSON.stringify(DESCRIPTION)
  for (let after = 0; ; await othersTurn()) {
    const page = rows.find({ after, limit: PAGE })
    for (const row of page) yield rowLine(row)
    if (page.length < PAGE) return
    after = page.at(-1)!.seq
  }
}

const rowLine = ({ previous, hash, ...row }: AuditRow): string =>
  JSON.stringify({ ...row, previous: previous.toString('hex'), hash: hash.toString('hex') })

const DESCRIPTION = {
  format: 'iron-cage audit 1',
  hash:
    'HMAC-SHA256 with the 32 bytes of <database>.audit-key (base64) over: the format as text; previous (32 bytes); ' +
    'seq (8 bytes, big-endian); then at, role, actor, action, target, details, each as its length in bytes of UTF-8 ' +
    '(4 bytes, big-endian; ffffffff for null) followed by those bytes. details is text that holds JSON.',
  verify:
    'seq counts from 1 without a gap; previous is the hash of the row before, 32 zero bytes for the first; the last ' +
    'row is at or after the one in <database>.audit-head. docs/audit.md has a program of twenty lines that does this.',
}
