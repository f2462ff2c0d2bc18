import { resolve } from 'node:path'
import { connect } from '../../client/client.ts'
import { type CliCommand, command } from '../../command.ts'
import { Deployments } from '../../deploy/deployments.ts'
import { runnerOf } from '../../deploy/runner.ts'
import { json } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'

export const downCommand: CliCommand = (terminal) =>
  command({
    command: 'down <name>',
    describe: 'End a deployment: its agent, and every process that it started',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('name', { type: 'string', demandOption: true, describe: 'The deployment' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 deploy down agent', 'end it']]),
    handler: async ({ name, json: asJson, ...flags }) => {
      const deployments = new Deployments(resolve(terminal.cwd, (await readConfig(flags, terminal)).config.db.path))
      const status = await runnerOf(deployments.require(name), deployments, connect(flags, terminal)).stop()
      terminal.out(asJson ? json(status) : `${name}  ${status.agent.state}`)
    },
  })
