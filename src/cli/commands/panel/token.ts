import { CageError } from '../../../core/errors.ts'
import { ORGANIZATION } from '../../../panel/organization.ts'
import { type CliCommand, command } from '../../command.ts'
import { json } from '../../output/print.ts'
import { DATABASE_HELP, DEFAULT_DATABASE } from './flags.ts'

export const panelTokenCommand: CliCommand = (terminal) =>
  command({
    command: 'token',
    describe: 'Create a token for a person; whoever may use the database may create any',
    builder: (yargs) =>
      yargs
        .option('database', { type: 'string', requiresArg: true, describe: DATABASE_HELP, default: DEFAULT_DATABASE })
        .option('role', {
          type: 'string',
          requiresArg: true,
          describe: 'What it may do',
          choices: ['admin', 'viewer'] as const,
          default: 'viewer' as const,
        })
        .option('name', { type: 'string', requiresArg: true, describe: 'Whose it is', default: 'unnamed' })
        .option('organization', {
          type: 'string',
          requiresArg: true,
          describe: 'Of which organization; a new name creates it, with a budget of $0',
          default: ORGANIZATION,
        })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([
          ['$0 panel token --role viewer --name ada', 'shown once'],
          ['# the first admin of another organization', ''],
          ['$0 panel token --role admin --organization acme', ''],
        ]),
    handler: async ({ database, role, name, organization, json: asJson }) => {
      const { withFleet } = await import('./fleet.ts')
      const token = await withFleet(
        database,
        (fleet, organizationId) => fleet.credentials.createToken(organizationId, role, name, "the panel's terminal"),
        organizationName(organization),
      )
      terminal.out(asJson ? json({ token, role, name }) : token)
    },
  })

/** Throws CageError `usage`. */
function organizationName(typed: string): string {
  if (/^[\w.@-]{1,80}$/.test(typed)) return typed
  throw new CageError(
    'usage',
    `--organization: expected up to 80 letters, digits, ".", "_", "@" and "-", got "${typed}"`,
  )
}
