import { Hono } from 'hono'
import { stream } from 'hono/streaming'
import * as z from 'zod'
import type { Audit } from '../audit/chain.ts'
import { exportLines } from '../audit/export.ts'
import type { AuditRow } from '../db/audit.ts'
import { readQuery } from './body.ts'
import type { Env, Guard } from './guard.ts'

/** The audit log, for admins: its rows, their verification, and an export. */
export function auditRoutes(audit: Audit, guard: Guard): Hono<Env> {
  return new Hono<Env>()
    .get('/', guard('admin'), (context) => {
      const query = readQuery(context, AUDIT_PAGE)
      const rows = audit.find(query)
      return context.json({ rows: rows.map(shown), next: rows.length === query.limit ? rows.at(-1)!.seq : null })
    })
    .get('/verify', guard('admin'), async (context) => context.json(await audit.verify()))
    .get('/export', guard('admin', 'audit.export'), (context) => {
      context.header('content-type', 'application/jsonl')
      return stream(context, async (out) => {
        for await (const line of exportLines(audit)) await out.write(`${line}\n`)
      })
    })
}

const shown = ({ details, previous: _previous, hash, ...row }: AuditRow) => ({
  ...row,
  details: JSON.parse(details) as unknown,
  hash: hash.toString('hex'),
})

const seq = z.coerce.number().int().min(0)
export const AUDIT_PAGE = z.object({
  before: seq.optional(),
  after: seq.optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
