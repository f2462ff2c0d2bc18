/** For admins: what people did in their organization, as a server answers it for its own audit. */

import { stream } from 'hono/streaming'
import * as z from 'zod'
import { isoTime } from '../core/clock.ts'
import { count, json, named, type Route, type Shape, time } from '../http/route.ts'
import { AUDIT_PAGE, auditVerdict } from '../http/shared-shapes.ts'
import type { PanelRole } from './access/credentials.ts'
import type { Fleet } from './bank/budgets.ts'
import type { StoredAudit } from './db/audit-store.ts'
import { panelRoutesOf } from './panel-route.ts'

const auditRoute = panelRoutesOf('Panel')

/** Rows of an export that are read at a time. */
const PAGE = 1_000

export const panelAuditRoutes = ({ fleet }: { fleet: Fleet }): Route<PanelRole>[] => [
  auditRoute('GET /api/audit', {
    role: 'admin',
    summary: 'Lists what people did, newest first; with `after`, oldest first.',
    query: AUDIT_PAGE,
    reply: () =>
      z.object({
        rows: z.array(auditRow()),
        next: count().nullable().describe('`before` or `after` of the next page; null at the end.'),
      }),
    handle: async ({ query, identity }) => {
      const rows = await fleet.audit(identity.organizationId, query.limit, query)
      return { rows: rows.map(shown), next: rows.length === query.limit ? rows.at(-1)!.seq : null }
    },
  }),
  auditRoute('GET /api/audit/verify', {
    role: 'admin',
    summary: 'Verifies the hash chain of the organization.',
    reply: auditVerdict,
    handle: ({ identity }) => fleet.verifyAudit(identity.organizationId),
  }),
  auditRoute('GET /api/audit/export', {
    role: 'admin',
    summary: 'Exports what people did, one JSON row per line, oldest first.',
    reply: null,
    types: ['application/jsonl'],
    handle: ({ context, identity: { organizationId } }) => {
      context.header('content-type', 'application/jsonl')
      return stream(context, async (out) => {
        let rows: StoredAudit[]
        let after = 0
        do {
          rows = await fleet.audit(organizationId, PAGE, { after })
          for (const row of rows) await out.write(`${JSON.stringify(shown(row))}\n`)
          after = rows.at(-1)?.seq ?? after
        } while (rows.length === PAGE && !out.aborted)
      })
    },
  }),
]

const auditRow = named('PanelAuditRow', () =>
  z.object({
    seq: count(),
    at: time(),
    actor: z.string(),
    action: z.string(),
    target: z.string(),
    details: json(),
    hash: z.string(),
  } satisfies Shape<ReturnType<typeof shown>>),
)

const shown = ({ seq, at, actor, action, target, details, hash }: StoredAudit) => {
  return { seq, at: isoTime(at), actor, action, target, details: JSON.parse(details) as unknown, hash }
}
