import { connect } from '../client/client.ts'
import { type CliCommand, command } from '../command.ts'
import { json } from '../output/print.ts'
import { withDatabase } from '../settings/flags.ts'

/** Needs no token, so that a container or a service manager can ask. */
export const healthCommand: CliCommand = (terminal) =>
  command({
    command: 'health',
    describe: 'Check that the server, or the Control Panel at IRON_CAGE_URL, runs and can write; exits 0 only then',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 health', 'exits 7 when no server answers, 8 when it cannot write']]),
    handler: async ({ json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const health = await client.send<{ status: 'ok'; version: string; redis?: string }>('GET', '/api/health')
      terminal.out(
        asJson
          ? json(health)
          : `${health.status}  iron-cage ${health.version}${health.redis ? `  redis ${health.redis}` : ''}`,
      )
    },
  })
