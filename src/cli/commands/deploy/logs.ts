import { resolve } from 'node:path'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { Deployments } from '../../deploy/deployments.ts'
import { runnerOf } from '../../deploy/runner.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'
import { printLogs } from '../logs.ts'

export const deploymentLogsCommand: CliCommand = (terminal) =>
  command({
    command: 'logs <name>',
    describe: 'Show the events and the output of a deployed agent',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: 'The deployment' })
        .option('follow', { alias: 'f', type: 'boolean', describe: 'Keep going until the agent has ended' })
        .option('verbose', { type: 'boolean', describe: 'Show details as well' })
        .option('json', { type: 'boolean', describe: 'Print one JSON line per event' })
        .example([['$0 deploy logs agent -f', 'watch it work']]),
    handler: async ({ name, ...flags }) => {
      const deployments = new Deployments(resolve(terminal.cwd, (await readConfig(flags, terminal)).config.db.path))
      const deployment = deployments.require(name)
      return withClient(flags, terminal, (client) =>
        printLogs(runnerOf(deployment, deployments, client).logs(flags.follow === true), flags, terminal),
      )
    },
  })
