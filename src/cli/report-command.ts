import type { ShownCall } from '../api/calls.ts'
import { type AgentReport, CSV_HEADER, csvLine } from '../api/report.ts'
import type { CostReport } from '../budget/report.ts'
import { CageError } from '../errors.ts'
import { AGENT_HELP, agentIdOf } from './agent-id.ts'
import type { Client } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json } from './print.ts'
import { costLines, reportLines } from './report.ts'
import { withAccess } from './stored-api.ts'
import type { Command, Terminal } from './terminal.ts'

const FORMATS = ['text', 'json', 'csv', 'html'] as const
const PAGE = 1_000

export const reportCommand: Command = (yargs, terminal) =>
  yargs.command(
    'report [id]',
    'Report what an agent did and cost, or all of them: as text, as JSON, as a document to print, or each row of the ledger as CSV',
    (command) =>
      withDatabaseFlags(command)
        .positional('id', { type: 'string', describe: `${AGENT_HELP} (default: all together)` })
        .option('format', { choices: FORMATS, default: 'text' as const, describe: 'How it is written' })
        .example('$0 report lg-7a3f9c2d --format csv > calls.csv', 'every row of the ledger'),
    ({ id, format, ...flags }) => withAccess(flags, terminal, (client) => report(client, terminal, id, format)),
  )

async function report(
  client: Client,
  terminal: Terminal,
  named: string | undefined,
  format: (typeof FORMATS)[number],
): Promise<void> {
  if (named === undefined) {
    if (format === 'csv' || format === 'html') {
      throw new CageError('usage', `this format needs an agent: report <id> --format ${format}`)
    }
    const { costs } = await client.send<{ costs: CostReport }>('GET', '/api/report')
    if (format === 'json') return terminal.out(json(costs))
    return costLines(costs).forEach(terminal.out)
  }
  const path = `/api/agents/${encodeURIComponent(await agentIdOf(client, named))}`
  if (format === 'csv') {
    let isFirst = true
    for await (const page of pagesOf(client, path)) {
      // Below the first answer: of an agent that there is not, nothing is written.
      if (isFirst) terminal.out(CSV_HEADER)
      isFirst = false
      for (const call of page) terminal.out(csvLine(call))
    }
    return
  }
  if (format === 'html') return terminal.out(await client.send<string>('GET', `${path}/report?format=html`))
  const told = await client.send<AgentReport>('GET', `${path}/report`)
  if (format === 'json') return terminal.out(json(told))
  reportLines({ ...told, footer: {} }).forEach(terminal.out)
}

/** Newest first; one page at least. */
async function* pagesOf(client: Client, path: string): AsyncGenerator<ShownCall[]> {
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
