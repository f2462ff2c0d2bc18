import { Command } from '@commander-js/extra-typings'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, examples } from '../../command.ts'
import { connectToPanel } from '../runtimes/panel-client.ts'

const decideCommand =
  (verb: 'approve' | 'reject', description: string, done: string): CliCommand =>
  (terminal) =>
    new Command(verb)
      .description(description)
      .argument('<id>', 'The request, as "requests list" shows it')
      .requiredOption('--reason <text>', 'Why, for the audit')
      .addHelpText('after', examples([`requests ${verb} request-5f0c2b9e41d3 --reason "agreed on 12 May"`, '']))
      .action(async (id, { reason }) => {
        const path = `/api/fleet/requests/${pathSegment(id)}/${verb}`
        await connectToPanel(terminal).send('POST', path, { reason })
        terminal.out(`${id} ${done}`)
      })

export const approveCommand = decideCommand(
  'approve',
  'Approve a request of somebody else, which raises the limit',
  'is approved; the limit is raised',
)

export const rejectCommand = decideCommand('reject', 'Reject a request of somebody else', 'is rejected')
