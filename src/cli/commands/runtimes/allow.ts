import { ENVIRONMENTS } from '../../../config/environments.ts'
import { pathSegment } from '../../client/path-segment.ts'
import { type CliCommand, command } from '../../command.ts'
import { findRuntime, RUNTIME_HELP } from './find-runtime.ts'
import { connectToPanel } from './panel-client.ts'

export const allowCommand: CliCommand = (terminal) =>
  command({
    command: 'allow <id> [environments..]',
    describe:
      "Say which environments' secrets of the organization a machine may have, and so whose policy it has; none at first",
    builder: (yargs) =>
      yargs
        .positional('id', { type: 'string', demandOption: true, describe: RUNTIME_HELP })
        .positional('environments', {
          type: 'string',
          array: true,
          default: [],
          describe: 'All that it may have from now on; none without any',
          choices: ENVIRONMENTS,
        })
        .example([['$0 runtimes allow runtime-5f0c2b9e41d3 development staging', '']]),
    handler: async ({ id: named, environments }) => {
      const client = connectToPanel(terminal)
      const { id } = await findRuntime(client, named)
      await client.send('PUT', `/api/fleet/runtimes/${pathSegment(id)}/environments`, { environments })
      terminal.out(`${id} may have the secrets of ${environments.join(', ') || 'no environment'}`)
    },
  })
