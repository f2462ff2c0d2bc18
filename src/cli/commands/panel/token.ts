import { Command, Option } from '@commander-js/extra-typings'
import { CageError } from '../../../core/errors.ts'
import { ORGANIZATION } from '../../../panel/organization.ts'
import { type CliCommand, examples } from '../../command.ts'
import { json } from '../../output/print.ts'
import { DATABASE_HELP, DEFAULT_DATABASE } from './flags.ts'

export const panelTokenCommand: CliCommand = (terminal) =>
  new Command('token')
    .description('Create a token for a person; whoever may use the database may create any')
    .option('--database <address>', DATABASE_HELP, DEFAULT_DATABASE)
    .addOption(
      new Option('--role <role>', 'What it may do').choices(['admin', 'viewer'] as const).default('viewer' as const),
    )
    .option('--name <name>', 'Whose it is', 'unnamed')
    .option('--organization <name>', 'Of which organization; a new name creates it, with a budget of $0', ORGANIZATION)
    .option('--json', 'Print JSON')
    .addHelpText(
      'after',
      examples(
        ['panel token --role viewer --name ada', 'shown once'],
        ['panel token --role admin --organization acme', 'the first admin of another organization'],
      ),
    )
    .action(async ({ database, role, name, organization, json: asJson }) => {
      const { withFleet } = await import('./fleet.ts')
      const token = await withFleet(
        database,
        (fleet, organizationId) => fleet.credentials.createToken(organizationId, role, name, "the panel's terminal"),
        organizationName(organization),
      )
      terminal.out(asJson ? json({ token, role, name }) : token)
    })

/** Throws CageError `usage`. */
function organizationName(typed: string): string {
  if (/^[\w.@-]{1,80}$/.test(typed)) return typed
  throw new CageError(
    'usage',
    `--organization: expected up to 80 letters, digits, ".", "_", "@" and "-", got "${typed}"`,
  )
}
