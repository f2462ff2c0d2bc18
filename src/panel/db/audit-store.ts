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

/** Follows the chain of an organization from its beginning. Returns a sentence for what is wrong; undefined if nothing is. */
export async function auditProblem(sql: Sql, organizationId: string): Promise<string | undefined> {
  const [head] = await sql.rows<{ name: string; audit_seq: number; audit_hash: string | null }>(
    'SELECT name, audit_seq, audit_hash FROM organizations WHERE id = $1',
    [organizationId],
  )
  const { name, audit_seq: last, audit_hash: lastHash } = head!
  const problem = (text: string) => `the audit of ${name}: ${text}`
  let [seq, previous] = [0, BEGINNING.hash.toString('hex')]
  for (;;) {
    const rows = await sql.rows<StoredAudit>(
      'SELECT * FROM audit WHERE organization_id = $1 AND seq > $2 ORDER BY seq LIMIT $3',
      [organizationId, seq, PAGE],
    )
    for (const row of rows) {
      seq += 1
      if (row.seq !== seq) return problem(`row ${seq} is missing`)
      if (row.previous !== previous) return problem(`row ${seq} does not follow the row before it`)
      if (row.hash !== hashOf(row)) return problem(`row ${seq} was changed`)
      previous = row.hash
    }
    if (rows.length < PAGE) break
  }
  if (seq !== last || (last > 0 && previous !== lastHash)) return problem(`it ends with row ${seq}, not ${last}`)
  return undefined
}

function hashOf(row: Omit<StoredAudit, 'n' | 'hash'>): string {
  const key = createSecretKey(Buffer.from(row.organization_id))
  const { seq, actor, action, target, details, previous } = row
  const fields = { seq, at: isoTime(row.at), role: 'system' as const, actor, action, target, details }
  return auditHash(key, { ...fields, previous: Buffer.from(previous, 'hex') }).toString('hex')
}
