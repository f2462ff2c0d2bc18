import type { AlertView } from '../../../state/snapshot.ts'
import type { ApiClient } from '../../client/client.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'

export const listAlertsCommand: CliCommand = (terminal) =>
  command({
    command: 'list',
    describe: 'List the alerts, newest first, with the channels that delivered them',
    builder: (yargs) => withDatabase(yargs).option('json', { type: 'boolean', describe: 'Print JSON' }),
    handler: async ({ json: asJson, ...flags }) => {
      const alerts = await withClient(flags, terminal, listAlerts)
      if (asJson) return terminal.out(json(alerts))
      if (alerts.length === 0) return terminal.err('there are no alerts')
      printTable([HEADER, ...alerts.map(rowOf)], terminal)
    },
  })

export const listAlerts = async (client: ApiClient): Promise<AlertView[]> =>
  (await client.send<{ alerts: AlertView[] }>('GET', '/api/alerts')).alerts

const HEADER = ['ALERT', 'AT', 'LEVEL', 'AGENT', 'TITLE', 'SENT BY', 'NOT SENT BY', 'SEEN']

const rowOf = ({ id, at, level, agent_id, title, delivered, failed, acknowledged }: AlertView): string[] => [
  id,
  at,
  level,
  agent_id ?? '-',
  title,
  delivered.join(', ') || '-',
  failed.map(({ channel }) => channel).join(', ') || '-',
  acknowledged ? 'yes' : 'no',
]
