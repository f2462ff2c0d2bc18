/**
 * The audit of each organization: what people did, numbered from 1, each row with the hash of the row before and its
 * own. Rows are only appended, in the transaction that they record. The key of the hashes is no secret: the chain
 * reveals an edit or a removal unless all later rows were rewritten.
 *
 * A row from which a person was erased keeps its hash, so that the chain and every copy of it stay as they were. A
 * later row of the chain, ERASED, has the hash of the rest of it, and verification takes exactly that.
 */
import { createSecretKey } from 'node:crypto'
import { auditHash, BEGINNING } from '../../audit/hash.ts'
import { isoTime } from '../../core/clock.ts'
import type { AuditEntry } from '../bank/bank.ts'
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

/** The action of rows that have the hashes of rows from which a person was erased: `hashes`, as "seq:hash seq:hash …". */
export const ERASED = 'audit.erased'
/** Hashes in one row. */
const MAX_HASHES = 100

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
  const erased = await erasedHashes(sql, organizationId)
  let [seq, previous] = [0, BEGINNING.hash.toString('hex')]
  const broken = (row: number, problem: string): AuditVerdict => ({ ok: false, rows: row - 1, row, problem })
  for (;;) {
    const rows = await findAudit(sql, organizationId, PAGE, { after: seq })
    for (const row of rows) {
      seq += 1
      if (row.seq !== seq) return broken(seq, 'is missing')
      if (row.previous !== previous) return broken(seq, 'does not follow the row before it')
      if (hashOf(row) !== (erased.get(seq) ?? row.hash)) return broken(seq, 'was changed')
      previous = row.hash
    }
    if (rows.length < PAGE) break
  }
  if (seq !== last || (last > 0 && previous !== lastHash)) {
    return { ok: false, rows: seq, row: null, problem: `it ends with row ${seq}, not ${last}` }
  }
  return { ok: true, rows: seq, head: previous }
}

/** A row without its erased parts. */
export type ErasedAudit = Pick<StoredAudit, 'actor' | 'target' | 'details'>

/** Puts the rest of rows in their place. Returns their numbers and new hashes, for `erasedEntries`. */
export async function rewriteAudit(sql: Sql, row: StoredAudit, left: ErasedAudit): Promise<string> {
  await sql.rows('UPDATE audit SET actor = $2, target = $3, details = $4 WHERE n = $1', [
    ...[row.n, left.actor, left.target],
    left.details,
  ])
  return `${row.seq}:${hashOf({ ...row, ...left })}`
}

/** The entries that vouch for rewritten rows; `details` are those of the first one. */
export function erasedEntries(entry: AuditEntry, hashes: readonly string[]): AuditEntry[] {
  const parts = Array.from({ length: Math.max(1, Math.ceil(hashes.length / MAX_HASHES)) }, (_, part) =>
    hashes.slice(part * MAX_HASHES, (part + 1) * MAX_HASHES).join(' '),
  )
  return parts.map((part, at) => ({ ...entry, details: { ...(at === 0 && entry.details), hashes: part } }))
}

/** The rest of rows, by number: as the last erasure of each said. Rows of erasures are verified as all others are. */
async function erasedHashes(sql: Sql, organizationId: string): Promise<Map<number, string>> {
  const rows = await sql.rows<StoredAudit>(
    'SELECT * FROM audit WHERE organization_id = $1 AND action = $2 AND seq IS NOT NULL ORDER BY seq',
    [organizationId, ERASED],
  )
  const hashes = new Map<number, string>()
  for (const row of rows) {
    for (const [, seq, hash] of row.details.matchAll(/(\d+):([0-9a-f]{64})/g)) {
      hashes.set(Number(seq), hash!)
    }
  }
  return hashes
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
