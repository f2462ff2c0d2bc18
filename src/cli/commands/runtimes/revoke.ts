import { Command } from '@commander-js/extra-typings'
import { type CliCommand, examples } from '../../command.ts'
import { connectToPanel } from './panel-client.ts'

export const revokeRuntimeCommand: CliCommand = (terminal) =>
  new Command('revoke')
    .description('Stop a machine from spending, at once while it is connected; what it was lent stays lent')
    .argument('<id>', 'The runtime, as "runtimes list" shows it')
    .addHelpText('after', examples(['runtimes revoke runtime-5f0c2b9e41d3', '']))
    .action(async (id) => {
      await connectToPanel(terminal).send('DELETE', `/api/fleet/runtimes/${encodeURIComponent(id)}`)
      terminal.out(`${id} may not spend any more`)
    })
