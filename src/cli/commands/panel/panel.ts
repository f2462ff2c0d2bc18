import { Command } from '@commander-js/extra-typings'
import { type CliCommand, examples } from '../../command.ts'
import { panelDoctorCommand } from './doctor.ts'
import { DATABASE_HELP, DEFAULT_DATABASE, REDIS_HELP } from './flags.ts'
import { panelTokenCommand } from './token.ts'

export const panelCommand: CliCommand = (terminal) =>
  new Command('panel')
    .description('Run a Control Panel: budgets that several machines share and never overspend')
    .option('--database <address>', DATABASE_HELP, DEFAULT_DATABASE)
    .option('--redis <address>', REDIS_HELP)
    .option('--host <address>', 'Address to listen on', '127.0.0.1')
    .option('--port <port>', 'Port to listen on', '8090')
    .option('--allow-remote', 'Allow --host to be an address that other machines can reach; put TLS in front of it')
    .option('--allowed-hosts <names>', 'Additional host names that clients may use, separated by commas')
    .option(
      '--trusted-proxies <networks>',
      'Proxies whose X-Forwarded-For says who calls, such as 10.0.0.0/8, separated by commas (default: none)',
    )
    .option(
      '--lease-ttl <seconds>',
      'How long a runtime may spend what it was lent without hearing from the panel',
      '900',
    )
    .option('--oidc-issuer <url>', 'OpenID Connect provider at which people may sign in')
    .option('--oidc-client-id <id>', 'Client id of this panel at the provider')
    .option('--oidc-secret-file <file>', 'File with the secret of that client (default: a public client, with PKCE)')
    .option('--config <file>', 'File that says where alerts are sent: its section alerts (default: nowhere)')
    .addHelpText(
      'after',
      examples(
        ['panel', 'for trying it out, on SQLite'],
        ['panel --database postgres://panel@db.example.com/panel', 'any number of processes'],
      ),
    )
    .action(async (flags) => (await import('./run-panel.ts')).runPanel(flags, terminal))
    .addCommand(panelTokenCommand(terminal) as Command)
    .addCommand(panelDoctorCommand(terminal) as Command)
