import { CageError } from '../../../core/errors.ts'
import { showDuration } from '../../../core/units.ts'
import type { FleetView } from '../../../panel/fleet-view.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { connectToPanel } from './panel-client.ts'

export const coverCommand: CliCommand = (terminal) =>
  command({
    command: 'cover [minutes]',
    describe: 'Show or set how many minutes of spending a machine may hold in advance, to go on without the panel',
    builder: (yargs) =>
      yargs
        .positional('minutes', { type: 'string', describe: 'From 0.1 to 1440 (default: show it)' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 runtimes cover 15', 'machines go on for about 15 minutes without the panel']]),
    handler: async ({ minutes, json: asJson }) => {
      const client = connectToPanel(terminal)
      const { cover_s } =
        minutes === undefined
          ? await client.send<FleetView>('GET', '/api/fleet')
          : await client.send<{ cover_s: number }>('PATCH', '/api/fleet/cover', { cover_s: secondsOf(minutes) })
      if (asJson) return terminal.out(json({ cover_s }))
      terminal.out(`each machine may hold what it spends in ${showDuration(cover_s * 1000)}`)
    },
  })

/** Throws CageError `usage`. */
function secondsOf(minutes: string): number {
  const seconds = Math.round(Number(minutes) * 60)
  if (/^\d+(\.\d+)?$/.test(minutes) && seconds >= MIN_S && seconds <= MAX_S) return seconds
  throw new CageError('usage', `expected a number of minutes from 0.1 to 1440, got "${minutes}"`)
}

const MIN_S = 6
const MAX_S = 86_400
