import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

const decideCommand =
  (verb: 'approve' | 'reject', description: string, done: string): CliCommand =>
  (terminal) =>
    command({
      command: `${verb} <id>`,
      describe: description,
      builder: (yargs) =>
        yargs
          .positional('id', {
            type: 'string',
            demandOption: true,
            describe: 'The request, as "requests list" shows it',
          })
          .option('reason', { type: 'string', requiresArg: true, describe: 'Why, for the audit', demandOption: true })
          .example([[`$0 requests ${verb} request-5f0c2b9e41d3 --reason "agreed on 12 May"`, '']]),
      handler: async ({ id, reason }) => {
        const path = `/api/fleet/requests/${pathSegment(id)}/${verb}`
        await connectToPanel(terminal).send('POST', path, { reason })
        terminal.out(`${id} ${done}`)
      },
    })

export const approveCommand = decideCommand(
  'approve',
  'Approve a request of somebody else, which raises the limit',
  'is approved; the limit is raised',
)

export const rejectCommand = decideCommand('reject', 'Reject a request of somebody else', 'is rejected')
