/** Links to a report, for people without a sign-in. */
import type { ReportLink } from '../../access/report-links.ts'
import { CageError } from '../../core/errors.ts'
import { resolveAgentId } from '../client/agent-id.ts'
import type { ApiClient } from '../client/client.ts'
import { pathSegment } from '../client/path-segment.ts'
import { json, printTable } from './print.ts'
import type { Terminal } from './terminal.ts'

const SECONDS = { m: 60, h: 3_600, d: 86_400 } as const

/** "30m", "24h", "7d". Throws CageError `usage`. */
function parseLifetime(text: string): number {
  const [, amount, unit] = /^(\d{1,4})([mhd])$/.exec(text) ?? []
  if (amount && unit) return Number(amount) * SECONDS[unit as keyof typeof SECONDS]
  throw new CageError('usage', `--share: expected a time such as 30m, 24h or 7d, got "${text}"`, {
    hint: 'try --share 24h',
  })
}

/** Prints the link; the token in it is not shown again. */
export async function shareReport(
  client: ApiClient,
  { named, lifetime, asJson }: { named: string; lifetime: string; asJson: boolean },
  terminal: Terminal,
): Promise<void> {
  const body = { expires_in_s: parseLifetime(lifetime) }
  const path = await linksPath(client, named)
  const link = await client.send<ReportLink & { url: string }>('POST', path, body)
  if (asJson) return terminal.out(json(link))
  terminal.out(link.url)
  terminal.err(`anyone with this link can read the report until ${link.expires_at}, if they can reach this server`)
  if (client.file !== undefined) terminal.err('no server is running: start one with "iron-cage open"')
  terminal.err(`revoke it with: iron-cage report ${named} --revoke ${link.id}`)
}

/** Prints the valid links to a report. */
export async function listReportLinks(
  client: ApiClient,
  { named, asJson }: { named: string; asJson: boolean },
  terminal: Terminal,
): Promise<void> {
  const { links } = await client.send<{ links: ReportLink[] }>('GET', await linksPath(client, named))
  if (asJson) return terminal.out(json(links))
  if (links.length === 0) return terminal.err('no valid links')
  const rows = links.map(({ id, created_at, expires_at, created_by }) => [id, created_at, expires_at, created_by])
  printTable([['link', 'created', 'expires', 'by'], ...rows], terminal)
}

export async function revokeReportLink(client: ApiClient, id: string, terminal: Terminal): Promise<void> {
  await client.send('DELETE', `/api/report-links/${pathSegment(id)}`)
  terminal.err(`revoked ${id}`)
}

const linksPath = async (client: ApiClient, named: string): Promise<string> =>
  `/api/agents/${pathSegment(await resolveAgentId(client, named))}/report/links`
