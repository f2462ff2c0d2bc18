import { figures } from '../state/figures.ts'
import { type AgentStatus, type Client, connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json } from './print.ts'
import { reportLines } from './report.ts'
import type { SnapshotAnswer } from './status.ts'
import type { Command } from './terminal.ts'

const FORMATS = ['text', 'json', 'csv'] as const
const PAGE = 1_000

/** One call as `GET /api/agents/:id/calls` answers it. */
type Call = Record<(typeof COLUMNS)[number], string | number | boolean | null>

const COLUMNS = [
  'id',
  'started_at',
  'ended_at',
  'kind',
  'target',
  'model',
  'state',
  'held_usd',
  'cost_usd',
  'estimated',
  'status',
  'code',
] as const

export const reportCommand: Command = (yargs, terminal) =>
  yargs.command(
    'report <id>',
    'Report what an agent did and cost: as text, as JSON, or each call as CSV',
    (command) =>
      withDatabaseFlags(command)
        .positional('id', { type: 'string', demandOption: true, describe: 'The agent, as "ps" lists it' })
        .option('format', { choices: FORMATS, default: 'text' as const, describe: 'How it is written' })
        .example('$0 report lg-7a3f9c2d --format csv > calls.csv', 'every call of the ledger'),
    async ({ id, format, ...flags }) => {
      const client = connect(flags, terminal)
      const path = `/api/agents/${encodeURIComponent(id)}`
      const status = await client.send<AgentStatus>('GET', `${path}/status`)
      if (format === 'json') return terminal.out(json(status))
      if (format === 'csv') {
        terminal.out(COLUMNS.join(','))
        for await (const call of callsOf(client, path)) terminal.out(COLUMNS.map((name) => csv(call[name])).join(','))
        return
      }
      const { snapshot, server_time } = await client.send<SnapshotAnswer>('GET', '/api/snapshot')
      const nowMs = Date.parse(server_time)
      const circuits = Object.values(snapshot.circuits)
      reportLines({ agent: status.agent, figures: figures(status.agent, nowMs), circuits, footer: {} }).forEach(
        terminal.out,
      )
    },
  )

/** Newest first, page by page. */
async function* callsOf(client: Client, path: string): AsyncGenerator<Call> {
  for (let before = ''; ; ) {
    const { calls } = await client.send<{ calls: Call[] }>(
      'GET',
      `${path}/calls?limit=${PAGE}${before && `&before=${before}`}`,
    )
    yield* calls
    if (calls.length < PAGE) return
    before = String(calls.at(-1)!.id)
  }
}

/** RFC 4180; a text that a spreadsheet would run as a formula is kept a text. */
function csv(value: Call[keyof Call]): string {
  const text = value === null ? '' : String(value)
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
