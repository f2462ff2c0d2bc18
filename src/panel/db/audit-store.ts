/**
 * The audit of each organization: what people did, numbered from 1, each row with the hash of the row before and its own.
 * Rows are only appended, in the transaction of what they record. The key of the hashes is no secret: the chain finds what
 * somebody edited or removed who did not write it anew from there on.
 */
import { createSecretKey } from 'node:crypto'
import { auditHash, BEGINNING } from '../../audit/hash.ts'
import { isoTime } from '../../clock.ts'
import type { AuditEntry } from '../bank.ts'
import type { Dialect, Sql } from './database.ts'
import { insert } from './insert.ts'

export interface StoredAudit {
  n: number
  organization_id: string
  seq: number
  at: number
  actor: string
  action: string
  target: string
  details: string
  /** Hexadecimal, as `hash`. */
  previous: string
  hash: string
}

/** Rows that are verified at a time. */
const PAGE = 1_000

/** Appends entries to the chains of their organizations, which it locks until the transaction ends. */
export async function appendAudit(
  sql: Sql,
  { forUpdate, now }: Dialect,
  entries: readonly AuditEntry[],
): Promise<void> {
  const organizations = [...new Set(entries.map(({ organizationId }) => organizationId))].sort()
  for (const id of organizations) {
    const [head] = await sql.rows<{ audit_seq: number; audit_hash: string | null; now: number }>(
      `SELECT audit_seq, audit_hash, ${now} AS now FROM organizations WHERE id = $1 ${forUpdate}`,
      [id],
    )
    const rows: Omit<StoredAudit, 'n'>[] = []
    let [seq, previous] = [head!.audit_seq, head!.audit_hash ?? BEGINNING.hash.toString('hex')]
    for (const { actor, action, target, details } of entries.filter(({ organizationId }) => organizationId === id)) {
      seq += 1
      const row = { organization_id: id, seq, at: head!.now, actor, action, target, details: JSON.stringify(details) }
      const hash = hashOf({ ...row, previous })
      rows.push({ ...row, previous, hash })
      previous = hash
    }
    await insert(sql, 'audit', rows)
    await sql.rows('UPDATE organizations SET audit_seq = $2, audit_hash = $3 WHERE id = $1', [id, seq, previous])
  }
}

/** `row`: the first one that is bad or missing; null if the problem concerns none. `rows`: good ones before it. */
export type AuditVerdict =
  | { ok: true; rows: number; head: string }
  | { ok: false; rows: number; row: number | null; problem: string }

/** Follows the chain of an organization from its beginning. */
export async function verifyAudit(sql: Sql, organizationId: string): Promise<AuditVerdict> {
  const [head] = await sql.rows<{ audit_seq: number; audit_hash: string | null }>(
    'SELECT audit_seq, audit_hash FROM organizations WHERE id = $1',
    [organizationId],
  )
  const { audit_seq: last, audit_hash: lastHash } = head!
  let [seq, previous] = [0, BEGINNING.hash.toString('hex')]
  const broken = (row: number, problem: string): AuditVerdict => ({ ok: false, rows: row - 1, row, problem })
  for (;;) {
    const rows = await findAudit(sql, organizationId, PAGE, { after: seq })
    for (const row of rows) {
      seq += 1
      if (row.seq !== seq) return broken(seq, 'is missing')
      if (row.previous !== previous) return broken(seq, 'does not follow the row before it')
      if (row.hash !== hashOf(row)) return broken(seq, 'was changed')
      previous = row.hash
    }
    if (rows.length < PAGE) break
  }
  if (seq !== last || (last > 0 && previous !== lastHash)) {
    return { ok: false, rows: seq, row: null, problem: `it ends with row ${seq}, not ${last}` }
  }
  return { ok: true, rows: seq, head: previous }
}

/** Numbers of rows that are not included. */
export interface AuditBounds {
  before?: number | undefined
  after?: number | undefined
}

/** Rows of the chain: newest first, or with `after` oldest first. */
export function findAudit(
  sql: Sql,
  organizationId: string,
  limit: number,
  { before, after }: AuditBounds,
): Promise<StoredAudit[]> {
  const [bound, order] = after === undefined ? ['seq < $2', 'DESC'] : ['seq > $2', 'ASC']
  return sql.rows<StoredAudit>(
    `SELECT * FROM audit WHERE organization_id = $1 AND ${bound} ORDER BY seq ${order} LIMIT $3`,
    [organizationId, after ?? before ?? Number.MAX_SAFE_INTEGER, limit],
  )
}

function hashOf(row: Omit<StoredAudit, 'n' | 'hash'>): string {
  const key = createSecretKey(Buffer.from(row.organization_id))
  const { seq, actor, action, target, details, previous } = row
  const fields = { seq, at: isoTime(row.at), role: 'system' as const, actor, action, target, details }
  return auditHash(key, { ...fields, previous: Buffer.from(previous, 'hex') }).toString('hex')
}
