import { connect } from '../../client/client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import type { CliCommand } from '../../command.ts'
import { commandWithDatabase } from '../../settings/flags.ts'

export const resendCommand: CliCommand = (terminal) =>
  commandWithDatabase('resend')
    .description('Retry the deliveries of an alert that were given up')
    .argument('<id>', 'As "alerts list" shows it')
    .action(async (id, flags) => {
      const path = `/api/alerts/${pathSegment(id)}/resend`
      const { resent } = await connect(flags, terminal).send<{ resent: number }>('POST', path)
      terminal.out(resent === 0 ? 'no delivery of it was given up' : `retrying ${resent}`)
    })
