import { resolve } from 'node:path'
import type { AgentStatus } from '../../../api/agents.ts'
import { connect } from '../../client.ts'
import { type CliCommand, examples } from '../../command.ts'
import { Deployments } from '../../deployments.ts'
import { commandWithDatabase, loadFlags } from '../../flags.ts'
import { json } from '../../print.ts'

export const downCommand: CliCommand = (terminal) =>
  commandWithDatabase('down')
    .description('End a deployment: its agent, and every process that it started')
    .argument('<name>', 'The deployment')
    .option('--json', 'Print JSON')
    .addHelpText('after', examples(['deploy down agent', 'end it']))
    .action(async (name, { json: asJson, ...flags }) => {
      const deployments = new Deployments(resolve(terminal.cwd, loadFlags(flags, terminal).config.db.path))
      const { agent_id } = deployments.require(name)
      const status = await connect(flags, terminal).send<AgentStatus>('POST', `/api/agents/${agent_id}/stop`)
      deployments.forget(name)
      terminal.out(asJson ? json(status) : `${name}  ${status.agent.state}`)
    })
