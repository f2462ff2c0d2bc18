import { systemClock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { showNumberOf } from '../../core/units.ts'
import { keepPolicy } from '../../uplink/kept-policy.ts'
import { forgetLeases } from '../../uplink/lease-memory.ts'
import { readMembership, writeMembership } from '../../uplink/membership.ts'
import { openLeases, openTelemetry } from '../../uplink/open-uplink.ts'
import { leavePanel } from '../../uplink/panel-client.ts'
import { type OfflineStore, withOfflineStore } from '../client/offline-store.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { withDatabase } from '../settings/flags.ts'
import { readConfig } from '../settings/read-config.ts'

/** How long the panel may take for the events that it does not have yet, in ms. */
const SEND_MS = 30_000

export const leaveCommand: CliCommand = (terminal) =>
  command({
    command: 'leave',
    describe: 'Return what the Control Panel lent, and leave it (the server must be stopped)',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('abandon', {
          type: 'boolean',
          describe: 'Leave even if what was spent cannot be reported: a person resolves the leases on the panel',
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 leave', '']]),
    handler: async ({ abandon = false, json: asJson, ...flags }) => {
      const { config } = await readConfig(flags, terminal)
      const left = await withOfflineStore(config, (offline) => leave(offline, abandon))
      if (asJson) return terminal.out(json(left))
      terminal.out(`left ${left.url}`)
      if (!left.all_events_sent) {
        terminal.err(
          'the panel lacks what happened here last: what it shows of the spending of this machine is too little',
        )
      }
      if (left.abandoned > 0)
        terminal.err(`to be resolved there: ${showNumberOf(left.abandoned, 'lease')} ("iron-cage runtimes list")`)
    },
  })

interface Left {
  url: string
  abandoned: number
  /** Whether the panel has every event of the membership. */
  all_events_sent: boolean
}

async function leave({ store, state }: OfflineStore, abandon: boolean): Promise<Left> {
  const membership = readMembership(store)
  if (!membership) {
    throw new CageError('conflict', 'this database has joined no Control Panel', {
      hint: 'see "iron-cage join --help"',
    })
  }
  const { url, token } = membership
  const leases = openLeases({ store, state, clock: systemClock })!
  const abandoned = await leases.giveBackAll().finally(() => leases.close())
  if (abandoned > 0 && !abandon) {
    throw new CageError('conflict', `${showNumberOf(abandoned, 'lease')} of ${url} cannot be accounted for yet`, {
      facts: { panel: url, leases: abandoned },
      hint: 'resolve the calls that a killed server left open ("iron-cage budget calls <id>"), check that the panel answers, or use --abandon',
    })
  }
  const all_events_sent = await openTelemetry({ store, state, clock: systemClock, leases })!.sendRest(SEND_MS)
  await leavePanel({ url, token }).catch((error: unknown) => {
    if (!abandon) throw error
  })
  store.transaction(() => {
    forgetLeases(store)
    writeMembership(store, undefined)
    keepPolicy(store, null)
  })
  return { url, abandoned, all_events_sent }
}
