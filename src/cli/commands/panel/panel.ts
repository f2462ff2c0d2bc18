import { type CliCommand, command } from '../../command.ts'
import { panelDoctorCommand } from './doctor.ts'
import { DATABASE_HELP, DEFAULT_DATABASE, REDIS_HELP } from './flags.ts'
import { panelTokenCommand } from './token.ts'

export const panelCommand: CliCommand = (terminal, line) =>
  command({
    command: 'panel',
    describe: 'Run a Control Panel: budgets that several machines share and never overspend',
    builder: (yargs) =>
      yargs
        .option('database', { type: 'string', requiresArg: true, describe: DATABASE_HELP, default: DEFAULT_DATABASE })
        .option('redis', { type: 'string', requiresArg: true, describe: REDIS_HELP })
        .option('host', { type: 'string', requiresArg: true, describe: 'Address to listen on', default: '127.0.0.1' })
        .option('port', { type: 'string', requiresArg: true, describe: 'Port to listen on', default: '8090' })
        .option('allow-remote', {
          type: 'boolean',
          describe: 'Allow --host to be an address that other machines can reach; put TLS in front of it',
        })
        .option('allowed-hosts', {
          type: 'string',
          requiresArg: true,
          describe: 'Additional host names that clients may use, separated by commas',
        })
        .option('trusted-proxies', {
          type: 'string',
          requiresArg: true,
          describe:
            'Proxies whose X-Forwarded-For says who calls, such as 10.0.0.0/8, separated by commas (default: none)',
        })
        .option('lease-ttl', {
          type: 'string',
          requiresArg: true,
          describe: 'How long a runtime may spend what it was lent without hearing from the panel',
          default: '900',
        })
        .option('oidc-issuer', {
          type: 'string',
          requiresArg: true,
          describe: 'OpenID Connect provider at which people may sign in',
        })
        .option('oidc-client-id', {
          type: 'string',
          requiresArg: true,
          describe: 'Client id of this panel at the provider',
        })
        .option('oidc-secret-file', {
          type: 'string',
          requiresArg: true,
          describe: 'File with the secret of that client (default: a public client, with PKCE)',
        })
        .option('config', {
          type: 'string',
          requiresArg: true,
          describe: 'File that says where alerts are sent: its section alerts (default: nowhere)',
        })
        .command(panelTokenCommand(terminal, line))
        .command(panelDoctorCommand(terminal, line))
        .example([
          ['$0 panel', 'for trying it out, on SQLite'],
          ['# any number of processes', ''],
          ['$0 panel --database postgres://panel@db.example.com/panel', ''],
        ]),
    handler: async ({ ...flags }) => (await import('./run-panel.ts')).runPanel(flags, terminal),
  })
