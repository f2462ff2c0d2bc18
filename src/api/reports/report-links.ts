/** Reports for people without a sign-in: an admin creates a link, and its holders read that one report. */
import * as z from 'zod'
import type { ReportLink } from '../../access/report-links.ts'
import { CageError } from '../../core/errors.ts'
import { who } from '../../http/guard.ts'
import type { Refusals } from '../../http/refusals.ts'
import { named, type Route, routesOf, type Shape, time } from '../../http/route.ts'
import { loadedAgentId } from '../agents.ts'
import type { Deps } from '../deps.ts'
import { type ReportDeps, reportHtml } from './report.ts'

const DAY_S = 86_400
const MIN_S = 60
const MAX_S = 90 * DAY_S
/** Of one link: it may be read at any rate, without filling the audit. */
const MIN_AUDIT_INTERVAL_MS = 60_000

const linkView = named('ReportLink', () =>
  z.object({
    id: z.string(),
    agent_id: z.string(),
    created_at: time(),
    expires_at: time(),
    created_by: z.string(),
  } satisfies Shape<ReportLink>),
)

const route = routesOf('Agents')

type LinkDeps = ReportDeps & Pick<Deps, 'config' | 'access' | 'audit'>

export const reportLinkRoutes = (deps: LinkDeps): Route[] => [
  route('GET /api/agents/:id/report/links', {
    role: 'admin',
    summary: "Lists the valid links to an agent's report, without their tokens.",
    reply: () => z.object({ links: z.array(linkView()) }),
    errors: ['not_found'],
    handle: async ({ context }) => ({ links: deps.access.reportLinks.list(await loadedAgentId(deps, context)) }),
  }),
  route('POST /api/agents/:id/report/links', {
    role: 'admin',
    action: 'report.share',
    summary: "Creates a link that shows an agent's report to whoever has it, until it expires.",
    body: z.strictObject({
      expires_in_s: z.int().min(MIN_S).max(MAX_S).default(DAY_S).describe('Default: a day.'),
    }),
    reply: () =>
      linkView().extend({
        token: z.string().describe('Returned only here. For GET /api/shared-report.'),
        url: z.string().describe('The page that shows the report.'),
      }),
    statuses: [201],
    errors: ['not_found'],
    handle: async ({ context, body: { expires_in_s: expiresInS }, identity }) => {
      const agentId = await loadedAgentId(deps, context)
      const link = deps.access.reportLinks.create({ agentId, expiresInS, createdBy: identity.name })
      const details = { agent_id: agentId, expires_at: link.expires_at }
      // Without this row its token is not handed out.
      deps.audit.append({ ...who(identity), action: 'report.shared', target: link.id, details })
      return { ...link, url: `${serverUrl(deps)}/shared#${link.token}` }
    },
  }),
  route('DELETE /api/report-links/:id', {
    role: 'admin',
    action: 'report.unshare',
    summary: 'Revokes a link to a report.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params: { id } }) => deps.access.reportLinks.revoke(id),
  }),
]

/** Of the running server, or of the one that `iron-cage open` will start on this database. */
const serverUrl = ({ state, config }: LinkDeps): string =>
  state.read().server?.url ?? `http://localhost:${config.server.port}`

export function sharedReportRoutes(deps: LinkDeps & { refusals: Refusals }): Route[] {
  const auditedAtMs = new Map<string, number>()
  const audit = ({ id, agent_id }: ReportLink) => {
    const now = deps.state.now()
    if (now - (auditedAtMs.get(id) ?? 0) < MIN_AUDIT_INTERVAL_MS) return
    auditedAtMs.set(id, now)
    deps.audit.append({ role: 'nobody', actor: id, action: 'report.opened', target: agent_id })
  }
  return [
    route('GET /api/shared-report', {
      role: 'open',
      summary: "Returns the report that a link shares, as a printable document. The link's token is the bearer token.",
      reply: null,
      statuses: [200],
      types: ['text/html'],
      errors: ['unauthorized', 'not_found'],
      handle: async ({ context }) => {
        const token = /^bearer +(\S+)$/i.exec(context.req.header('authorization') ?? '')?.[1]
        const link = token && deps.access.reportLinks.find(token)
        if (!link) {
          const message = 'this link has expired, was revoked, or is incomplete'
          deps.refusals.record({ message, reason: message, route: 'GET /api/shared-report' })
          throw new CageError('unauthorized', message, { hint: 'ask for a new one' })
        }
        audit(link)
        await deps.money.ledger.accounts.load(link.agent_id)
        return context.html(await reportHtml(deps, link.agent_id))
      },
    }),
  ]
}
