import { resolve } from 'node:path'
import type { AgentStatus } from '../../../api/agents.ts'
import { showUsd } from '../../../core/money.ts'
import { withClient } from '../../client/offline-client.ts'
import { type CliCommand, command } from '../../command.ts'
import { type Deployment, Deployments } from '../../deploy/deployments.ts'
import { runnerOf } from '../../deploy/runner.ts'
import { json, printTable } from '../../output/print.ts'
import { withDatabase } from '../../settings/flags.ts'
import { readConfig } from '../../settings/read-config.ts'

export const deploymentStatusCommand: CliCommand = (terminal) =>
  command({
    command: 'status [name]',
    describe: 'List what is deployed: how each agent is, what it has spent, and where it is called',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('name', { type: 'string', describe: 'One deployment (default: all)' })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 deploy status', 'all deployments']]),
    handler: async ({ name, json: asJson, ...flags }) => {
      const deployments = new Deployments(resolve(terminal.cwd, (await readConfig(flags, terminal)).config.db.path))
      const asked = name === undefined ? deployments.list() : [deployments.require(name)]
      if (asked.length === 0 && !asJson) return terminal.err('nothing is deployed')
      const shown = await withClient(flags, terminal, (client) =>
        Promise.all(
          asked.map(async (deployment) => {
            const runner = runnerOf(deployment, deployments, client)
            const [{ agent, budget }, healthy] = await Promise.all([runner.status(), runner.isHealthy()])
            return {
              ...deployment,
              state: agent.state,
              healthy,
              spent_usd: budget.spent_usd,
              limit_usd: budget.limit_usd,
            }
          }),
        ),
      )
      if (asJson) return terminal.out(json({ deployments: shown }))
      printTable([HEADER, ...shown.map(rowOf)], terminal)
    },
  })

const HEADER = ['NAME', 'STRATEGY', 'AGENT', 'STATE', 'CALLS', 'SPENT', 'ADDRESS']

interface Shown extends Deployment {
  state: string
  healthy: boolean
  spent_usd: AgentStatus['budget']['spent_usd']
  limit_usd: AgentStatus['budget']['limit_usd']
}

const rowOf = (shown: Shown): string[] => [
  shown.name,
  shown.strategy,
  shown.agent_id,
  shown.state,
  shown.healthy ? 'answered' : 'not answered',
  `${showUsd(shown.spent_usd)} of ${showUsd(shown.limit_usd)}`,
  shown.address + shown.run_interface.call,
]
