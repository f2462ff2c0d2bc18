import { Command, Option } from '@commander-js/extra-typings'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../print.ts'
import { DATABASE_HELP, DEFAULT_DATABASE, withFleet } from './fleet.ts'

export const panelTokenCommand: CliCommand = (terminal) =>
  new Command('token')
    .description('Create a token for a person; whoever may use the database may create any')
    .option('--database <address>', DATABASE_HELP, DEFAULT_DATABASE)
    .addOption(
      new Option('--role <role>', 'What it may do').choices(['admin', 'viewer'] as const).default('viewer' as const),
    )
    .option('--name <name>', 'Whose it is', 'unnamed')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['panel token --role viewer --name ada', 'shown once']))
    .action(async ({ database, role, name, json: asJson }) => {
      const token = await withFleet(database, (fleet, organizationId) =>
        fleet.createToken(organizationId, role, name, 'the terminal of the panel'),
      )
      terminal.out(asJson ? json({ token, role, name }) : token)
    })
