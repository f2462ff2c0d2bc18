import { showUsd } from '../../../core/money.ts'
import type { RequestView } from '../../../panel/fleet-view.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

export const listRequestsCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List requests for more of a shared budget: those that wait, then the last decided ones',
    builder: (yargs) =>
      yargs.option('json', { type: 'boolean', describe: 'Print JSON' }).example([['$0 requests list', '']]),
    handler: async ({ json: asJson }) => {
      const client = connectToPanel(terminal)
      const { requests } = await client.send<{ requests: RequestView[] }>('GET', '/api/fleet/requests')
      if (asJson) return terminal.out(json(requests))
      printTable(requests.map(rowOf), terminal, ['REQUEST', 'BUDGET', 'MORE', 'ASKED BY', 'STATE', 'REASON'])
      if (requests.length === 0) terminal.err('nobody has asked for more')
    },
  })

const rowOf = ({ id, scope, name, add_usd, asked_by, state, reason }: RequestView): string[] => [
  id,
  scope === 'organization' ? scope : `${scope} ${name}`,
  showUsd(add_usd),
  asked_by,
  state,
  reason,
]
