import { resolve } from 'node:path'
import { connect } from '../../client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { Deployments } from '../../deployments.ts'
import { commandWithDatabase } from '../../flags.ts'
import { json } from '../../print.ts'
import { readConfig } from '../../read-config.ts'
import { runnerOf } from '../../runner.ts'

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
