import { figures } from '../state/figures.ts'
import { connect } from './client.ts'
import { withDatabaseFlags } from './flags.ts'
import { json, table } from './print.ts'
import type { SnapshotAnswer } from './status.ts'
import type { Command } from './terminal.ts'

export const psCommand: Command = (yargs, terminal) =>
  yargs.command(
    'ps',
    'List the agents',
    (command) =>
      withDatabaseFlags(command)
        .option('json', { type: 'boolean', describe: 'Write JSON' })
        .example('$0 ps --json', 'everything that is known of each'),
    async ({ json: asJson, ...flags }) => {
      const client = connect(flags, terminal)
      const { snapshot, server_time } = await client.send<SnapshotAnswer>('GET', '/api/snapshot')
      const agents = Object.values(snapshot.agents)
      if (asJson) return terminal.out(json(agents))
      if (agents.length === 0) return terminal.err('no agent has run here yet')
      const rows = agents.map((agent) => {
        const { spent, progress } = figures(agent, Date.parse(server_time))
        return [agent.id, agent.name, agent.state, agent.pid === null ? '-' : String(agent.pid), spent, progress ?? '-']
      })
      table([['ID', 'NAME', 'STATE', 'PID', 'BUDGET', 'PROGRESS'], ...rows]).forEach(terminal.out)
    },
  )
