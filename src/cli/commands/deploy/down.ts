import { resolve } from 'node:path'
import { connect } from '../../client/client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { Deployments } from '../../deploy/deployments.ts'
import { runnerOf } from '../../deploy/runner.ts'
import { json } from '../../output/print.ts'
import { commandWithDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'

export const downCommand: CliCommand = (terminal) =>
  commandWithDatabase('down')
    .description('End a deployment: its agent, and every process that it started')
    .argument('<name>', 'The deployment')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['deploy down agent', 'end it']))
    .action(async (name, { json: asJson, ...flags }) => {
      const deployments = new Deployments(resolve(terminal.cwd, (await readConfig(flags, terminal)).config.db.path))
      const status = await runnerOf(deployments.require(name), deployments, connect(flags, terminal)).stop()
      terminal.out(asJson ? json(status) : `${name}  ${status.agent.state}`)
    })
