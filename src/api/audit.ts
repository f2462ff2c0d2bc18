import { stream } from 'hono/streaming'
import * as z from 'zod'
import type { Audit } from '../audit/chain.ts'
import { exportLines } from '../audit/export.ts'
import type { AuditRow } from '../db/tables/audit.ts'
import { count, json, named, type Route, routesOf, type Shape, time } from '../http/route.ts'
import { AUDIT_PAGE, auditVerdict } from '../http/shared-shapes.ts'

const route = routesOf('Audit')

/** The audit log, for admins: its rows, their verification, and an export. */
export const auditRoutes = (audit: Audit): Route[] => [
  route('GET /api/audit', {
    role: 'admin',
    summary: 'Lists rows of the audit log, newest first; with `after`, oldest first.',
    query: AUDIT_PAGE,
    reply: () =>
      z.object({
        rows: z.array(auditRow()),
        next: count().nullable().describe('`before` or `after` of the next page; null at the end.'),
      }),
    handle: ({ query }) => {
      const rows = audit.find(query)
      return { rows: rows.map(shown), next: rows.length === query.limit ? rows.at(-1)!.seq : null }
    },
  }),
  route('GET /api/audit/verify', {
    role: 'admin',
    summary: 'Verifies the hash chain.',
    reply: auditVerdict,
    handle: () => audit.verify(),
  }),
  route('GET /api/audit/export', {
    role: 'admin',
    action: 'audit.export',
    summary: 'Exports the audit log, one JSON row per line.',
    reply: null,
    types: ['application/jsonl'],
    handle: ({ context }) => {
      context.header('content-type', 'application/jsonl')
      return stream(context, async (out) => {
        for await (const line of exportLines(audit)) await out.write(`${line}\n`)
      })
    },
  }),
]

const auditRow = named('AuditRow', () =>
  z.object({
    seq: count(),
    at: time(),
    role: z.enum(['admin', 'viewer', 'agent', 'system', 'nobody']),
    actor: z.string(),
    action: z.string(),
    target: z.string().nullable(),
    details: json(),
    hash: z.string(),
  } satisfies Shape<ReturnType<typeof shown>>),
)

const shown = ({ details, previous: _previous, hash, ...row }: AuditRow) => ({
  ...row,
  details: JSON.parse(details) as unknown,
  hash: hash.toString('hex'),
})
