import { resolve } from 'node:path'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { Deployments } from '../../deploy/deployments.ts'
import { runnerOf } from '../../deploy/runner.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'
import { printLogs } from '../logs.ts'

export const deploymentLogsCommand: CliCommand = (terminal) =>
  commandWithDatabase('logs')
    .description('Show the events and the output of a deployed agent')
    .argument('<name>', 'The deployment')
    .option('-f, --follow', 'Keep going until the agent has ended')
    .option('--verbose', 'Show details as well')
    .option('--json', 'Print one JSON line per event')
    .addHelpText('after', examples(['deploy logs agent -f', 'watch it work']))
    .action(async (name, flags) => {
      const deployments = new Deployments(resolve(terminal.cwd, (await readConfig(flags, terminal)).config.db.path))
      const deployment = deployments.require(name)
      return withClient(flags, terminal, (client) =>
        printLogs(runnerOf(deployment, deployments, client).logs(flags.follow === true), flags, terminal),
      )
    })
