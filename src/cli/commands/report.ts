import { CSV_HEADER, csvLine } from '../../api/reports/calls-csv.ts'
import type { AgentReport } from '../../api/reports/report.ts'
import type { CostReport } from '../../budget/report.ts'
import { CageError } from '../../core/errors.ts'
import { wrapLines } from '../../log/wrap.ts'
import type { ShownCall } from '../../state/call-view.ts'
import { AGENT_HELP, resolveAgentId } from '../client/agent-id.ts'
import type { ApiClient } from '../client/client.ts'
import { withClient } from '../client/offline-client.ts'
import { pathSegment } from '../client/path-segment.ts'
import { type CliCommand, command } from '../command.ts'
import { comparisonLines } from '../output/comparison-lines.ts'
import { json } from '../output/print.ts'
import { costLines, reportLines } from '../output/report-lines.ts'
import { listReportLinks, revokeReportLink, shareReport } from '../output/report-links.ts'
import type { Terminal } from '../output/terminal.ts'
import { withDatabase } from '../settings/flags.ts'

const FORMATS = ['text', 'json', 'csv', 'html'] as const
type ReportFormat = (typeof FORMATS)[number]
const PAGE = 1_000

export const reportCommand: CliCommand = (terminal) =>
  command({
    command: 'report [id] [other]',
    describe: 'Report what one agent or all of them did and cost; also without a running server',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', describe: `${AGENT_HELP} (default: all agents together)` })
        .positional('other', { type: 'string', describe: 'Another agent, to compare it with' })
        .option('format', {
          type: 'string',
          requiresArg: true,
          describe: 'Text, JSON, an HTML page to print, or the rows of the ledger as CSV',
          choices: FORMATS,
          default: 'text' as const,
        })
        .option('share', {
          type: 'string',
          requiresArg: true,
          describe: 'Create a link that shows the report without a sign-in for so long: 30m, 24h, 7d',
        })
        .option('links', { type: 'boolean', describe: 'List the valid links to the report' })
        .option('revoke', { type: 'string', requiresArg: true, describe: 'Revoke a link' })
        .example([
          ['# every row of the ledger', ''],
          ['$0 report lg-7a3f9c2d --format csv > calls.csv', ''],
          ['$0 report lg-7a3f9c2d lead_gen_agent', 'beside the last run of that script'],
          ['$0 report lg-7a3f9c2d --share 24h', 'a link for a colleague, valid for a day'],
        ]),
    handler: ({ id, other, format, share, links, revoke, ...flags }) =>
      withClient(flags, terminal, (client) => {
        const asJson = format === 'json'
        if (revoke !== undefined) return revokeReportLink(client, revoke, terminal)
        if (share !== undefined) {
          return shareReport(client, { named: required(id, '--share'), lifetime: share, asJson }, terminal)
        }
        if (links) return listReportLinks(client, { named: required(id, '--links'), asJson }, terminal)
        if (id === undefined) return reportAll(client, format, terminal)
        return other === undefined
          ? reportAgent(client, id, format, terminal)
          : compare(client, [id, other], format, terminal)
      }),
  })

function required(id: string | undefined, flag: string): string {
  if (id !== undefined) return id
  throw new CageError('usage', `${flag} needs an agent`, { hint: 'list them with "iron-cage ps --all"' })
}

async function reportAll(client: ApiClient, format: ReportFormat, terminal: Terminal): Promise<void> {
  if (format === 'csv' || format === 'html') {
    throw new CageError('usage', `this format needs an agent: report <id> --format ${format}`)
  }
  const { costs } = await client.send<{ costs: CostReport }>('GET', '/api/report')
  if (format === 'json') return terminal.out(json(costs))
  costLines(costs).forEach(terminal.out)
}

async function reportAgent(client: ApiClient, named: string, format: ReportFormat, terminal: Terminal): Promise<void> {
  const path = `/api/agents/${pathSegment(await resolveAgentId(client, named))}`
  if (format === 'csv') return printCsv(client, path, terminal)
  if (format === 'html') return terminal.out(await client.send<string>('GET', `${path}/report?format=html`))
  const report = await client.send<AgentReport>('GET', `${path}/report`)
  if (format === 'json') return terminal.out(json(report))
  reportLines({ ...report, footer: {} }).forEach(terminal.out)
}

async function compare(
  client: ApiClient,
  named: readonly [string, string],
  format: ReportFormat,
  terminal: Terminal,
): Promise<void> {
  if (format === 'csv' || format === 'html') throw new CageError('usage', `--format ${format} is for one agent`)
  const [one, other] = [await reportOf(client, named[0]), await reportOf(client, named[1])]
  if (format === 'json') return terminal.out(json([one, other]))
  wrapLines(comparisonLines(one, other), terminal.columns).forEach(terminal.out)
}

const reportOf = async (client: ApiClient, named: string): Promise<AgentReport> =>
  client.send<AgentReport>('GET', `/api/agents/${pathSegment(await resolveAgentId(client, named))}/report`)

async function printCsv(client: ApiClient, path: string, terminal: Terminal): Promise<void> {
  let isFirst = true
  for await (const page of pagesOf(client, path)) {
    // Only after the first response, so that nothing is written for an unknown agent.
    if (isFirst) terminal.out(CSV_HEADER)
    isFirst = false
    for (const call of page) terminal.out(csvLine(call))
  }
}

/** Newest first; at least one page. */
async function* pagesOf(client: ApiClient, path: string): AsyncGenerator<ShownCall[]> {
  for (let before = ''; ; ) {
    const { calls } = await client.send<{ calls: ShownCall[] }>(
      'GET',
      `${path}/calls?limit=${PAGE}${before && `&before=${before}`}`,
    )
    yield calls
    if (calls.length < PAGE) return
    before = calls.at(-1)!.id
  }
}
