import { setTimeout as wait } from 'node:timers/promises'
import { CageError } from '../../../core/errors.ts'
import type { AlertView } from '../../../state/snapshot.ts'
import { type ApiClient, connect } from '../../client/client.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'
import { listAlerts } from './list.ts'

const POLL_INTERVAL_MS = 200
/** Longer than one attempt to deliver takes; later attempts are reported as pending. */
const MAX_WAIT_MS = 12_000

export const testCommand: CliCommand = (terminal) =>
  command({
    command: 'test',
    describe: 'Send a test alert by every channel and report whether it arrived; exits 1 when one did not',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 alerts test', 'checks the mail server and the webhooks']]),
    handler: async ({ json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const { alert_id, channels } = await client.send<TestedAlert>('POST', '/api/alerts/test')
      if (channels.length === 0) throw noChannel()
      const results = await resultsOf(client, alert_id, channels)
      if (asJson) terminal.out(json({ alert_id, channels: results }))
      else for (const { channel, state } of results) terminal.out(`${channel}  ${state}`)
      if (results.some(({ state }) => state !== 'delivered')) terminal.exitCode = 1
    },
  })

interface TestedAlert {
  alert_id: string
  channels: string[]
}

const noChannel = (): CageError =>
  new CageError('invalid_config', 'no channel is configured, so alerts appear on the dashboard only', {
    hint: 'set alerts.email or alerts.webhooks in the configuration',
  })

/** The result of each channel, as soon as all are known. */
async function resultsOf(
  client: ApiClient,
  alertId: string,
  channels: readonly string[],
): Promise<{ channel: string; state: string }[]> {
  for (let waitedMs = 0; ; waitedMs += POLL_INTERVAL_MS) {
    const alert = (await listAlerts(client)).find(({ id }) => id === alertId)
    const results = channels.map((channel) => ({ channel, state: stateOf(alert, channel) }))
    if (waitedMs >= MAX_WAIT_MS || results.every(({ state }) => state !== PENDING)) return results
    await wait(POLL_INTERVAL_MS)
  }
}

const PENDING = 'pending, it will be retried: "iron-cage alerts list"'

function stateOf(alert: AlertView | undefined, channel: string): string {
  if (alert?.delivered.includes(channel)) return 'delivered'
  const failed = alert?.failed.find((other) => other.channel === channel)
  return failed ? `failed: ${failed.error}` : PENDING
}
