import { setTimeout as wait } from 'node:timers/promises'
import { CageError } from '../errors.ts'
import type { AlertView } from '../state/snapshot.ts'
import { type Client, connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import type { Command } from './terminal.ts'

const LOOK_EVERY_MS = 200
/** Longer than one attempt to deliver takes; what is tried again later is told as such. */
const PATIENCE_MS = 12_000

export const alertsCommand: Command = (yargs, terminal) =>
  yargs.command('alerts', 'Look at alerts, test whether they arrive, send one again', (group) =>
    group
      .command(
        'list',
        'List the alerts, the newest first, and where they went',
        (command) => withDatabaseFlags(command).option('json', { type: 'boolean', describe: 'Write JSON' }),
        async ({ json: asJson, ...flags }) => {
          const alerts = await list(connect(flags, terminal))
          if (asJson) return terminal.out(json(alerts))
          if (alerts.length === 0) return terminal.err('there are no alerts')
          table([HEADER, ...alerts.map(rowOf)]).forEach(terminal.out)
        },
      )
      .command(
        'test',
        'Send a test by every channel, and tell whether it arrived',
        (command) =>
          withDatabaseFlags(command)
            .option('json', { type: 'boolean', describe: 'Write JSON' })
            .example('$0 alerts test', 'is the mail server reached, does the webhook answer'),
        async ({ json: asJson, ...flags }) => {
          const client = connect(flags, terminal)
          const { alert_id, channels } = await client.send<TestAnswer>('POST', '/api/alerts/test')
          if (channels.length === 0) {
            throw new CageError(
              'invalid_config',
              'no channel is configured, so alerts are seen on the dashboard only',
              {
                hint: 'set alerts.email or alerts.webhooks in the configuration',
              },
            )
          }
          const results = await resultsOf(client, alert_id, channels)
          if (asJson) terminal.out(json({ alert_id, channels: results }))
          else for (const { channel, state } of results) terminal.out(`${channel}  ${state}`)
          if (results.some(({ state }) => state !== 'delivered')) terminal.exitCode = 1
        },
      )
      .command(
        'resend <id>',
        'Try the given-up deliveries of an alert again',
        (command) =>
          withDatabaseFlags(command).positional('id', {
            type: 'string',
            demandOption: true,
            describe: 'As "alerts list" lists it',
          }),
        async ({ id, ...flags }) => {
          const path = `/api/alerts/${encodeURIComponent(id)}/resend`
          const { resent } = await connect(flags, terminal).send<{ resent: number }>('POST', path)
          terminal.out(resent === 0 ? 'nothing of it was given up' : `tried again: ${resent}`)
        },
      )
      .demandCommand(1, 'a command is missing'),
  )

interface TestAnswer {
  alert_id: string
  channels: string[]
}

const list = async (client: Client): Promise<AlertView[]> =>
  (await client.send<{ alerts: AlertView[] }>('GET', '/api/alerts')).alerts

/** What became of an alert by each channel, as soon as it is known of all. */
async function resultsOf(
  client: Client,
  alertId: string,
  channels: readonly string[],
): Promise<{ channel: string; state: string }[]> {
  for (let waited = 0; ; waited += LOOK_EVERY_MS) {
    const alert = (await list(client)).find(({ id }) => id === alertId)
    const results = channels.map((channel) => ({ channel, state: stateOf(alert, channel) }))
    if (waited >= PATIENCE_MS || results.every(({ state }) => state !== PENDING)) return results
    await wait(LOOK_EVERY_MS)
  }
}

const PENDING = 'not yet; it is tried again: "iron-cage alerts list"'

function stateOf(alert: AlertView | undefined, channel: string): string {
  if (alert?.delivered.includes(channel)) return 'delivered'
  const failed = alert?.failed.find((other) => other.channel === channel)
  return failed ? `failed: ${failed.error}` : PENDING
}

const HEADER = ['ALERT', 'AT', 'LEVEL', 'TITLE', 'SENT BY', 'NOT SENT BY', 'SEEN']

const rowOf = ({ id, at, level, title, delivered, failed, acknowledged }: AlertView): string[] => [
  id,
  at,
  level,
  title,
  delivered.join(', ') || '-',
  failed.map(({ channel }) => channel).join(', ') || '-',
  acknowledged ? 'yes' : 'no',
]
