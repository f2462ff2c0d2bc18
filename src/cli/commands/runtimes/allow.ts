import { Argument, Command } from '@commander-js/extra-typings'
import { ENVIRONMENTS } from '../../../config/environments.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, examples } from '../../command.ts'
import { findRuntime, RUNTIME_HELP } from './find-runtime.ts'
import { connectToPanel } from './panel-client.ts'

export const allowCommand: CliCommand = (terminal) =>
  new Command('allow')
    .description(
      "Say which environments' secrets of the organization a machine may have, and so whose policy it has; none at first",
    )
    .argument('<id>', RUNTIME_HELP)
    .addArgument(
      new Argument('[environments...]', 'All that it may have from now on; none without any').choices(ENVIRONMENTS),
    )
    .addHelpText('after', examples(['runtimes allow runtime-5f0c2b9e41d3 development staging', '']))
    .action(async (named, environments) => {
      const client = connectToPanel(terminal)
      const { id } = await findRuntime(client, named)
      await client.send('PUT', `/api/fleet/runtimes/${pathSegment(id)}/environments`, { environments })
      terminal.out(`${id} may have the secrets of ${environments.join(', ') || 'no environment'}`)
    })
