import { connect } from '../client/client.ts'
import { type CliCommand, examples } from '../command.ts'
import { json } from '../output/print.ts'
import { commandWithDatabase } from '../settings/flags.ts'

/** Needs no token, so that a container or a service manager can ask. */
export const healthCommand: CliCommand = (terminal) =>
  commandWithDatabase('health')
    .description('Check that the server, or the Control Panel at IRON_CAGE_URL, runs and can write; exits 0 only then')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['health', 'exits 7 when no server answers, 8 when it cannot write']))
    .action(async ({ json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const health = await client.send<{ status: 'ok'; version: string; redis?: string }>('GET', '/api/health')
      terminal.out(
        asJson
          ? json(health)
          : `${health.status}  iron-cage ${health.version}${health.redis ? `  redis ${health.redis}` : ''}`,
      )
    })
