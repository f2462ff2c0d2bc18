import { connect } from '../../client/client.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { withDatabase } from '../../settings/flags.ts'

export const resendCommand: CliCommand = (terminal) =>
  command({
    command: 'resend <id>',
    describe: 'Retry the deliveries of an alert that were given up',
    builder: (yargs) =>
      withDatabase(yargs).positional('id', {
        type: 'string',
        demandOption: true,
        describe: 'As "alerts list" shows it',
      }),
    handler: async ({ id, ...flags }) => {
      const path = `/api/alerts/${pathSegment(id)}/resend`
      const { resent } = await connect(flags, terminal).send<{ resent: number }>('POST', path)
      terminal.out(resent === 0 ? 'no delivery of it was given up' : `retrying ${resent}`)
    },
  })
