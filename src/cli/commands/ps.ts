import type { PastAgentListed } from '../../db/tables/past-agents.ts'
import { shownFigures } from '../../state/figures-text.ts'
import type { ApiClient, SnapshotResponse } from '../client/client.ts'
import { withClient } from '../client/offline-client.ts'
import { type CliCommand, command } from '../command.ts'
import { json, printTable } from '../output/print.ts'
import type { Terminal } from '../output/terminal.ts'
import { withDatabase } from '../settings/flags.ts'

const PAGE = 1_000

export const psCommand: CliCommand = (terminal) =>
  command({
    command: 'ps',
    describe: 'List the agents',
    builder: (yargs) =>
      withDatabase(yargs)
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .option('all', { type: 'boolean', describe: 'Include old agents that are no longer on the dashboard' })
        .example([['$0 ps --json', 'everything that is known of each']]),
    handler: ({ all, json: asJson, ...flags }) =>
      withClient(flags, terminal, (client) => list(client, { all, asJson }, terminal)),
  })

async function list(client: ApiClient, { all, asJson }: { all?: boolean; asJson?: boolean }, terminal: Terminal) {
  const { snapshot, server_time } = await client.send<SnapshotResponse>('GET', '/api/snapshot')
  const agents = Object.values(snapshot.agents)
  const past = all ? await pastAgents(client) : []
  if (asJson) return terminal.out(json([...agents, ...past]))
  if (agents.length === 0) return terminal.err('no agent has run here yet')
  const rows = agents.map((agent) => {
    const { spent, progress } = shownFigures(agent, Date.parse(server_time))
    return [agent.id, agent.name, agent.state, agent.pid === null ? '-' : String(agent.pid), spent, progress ?? '-']
  })
  for (const { id, name, state } of past) rows.push([id, name, state, '-', '-', '-'])
  printTable([['ID', 'NAME', 'STATE', 'PID', 'BUDGET', 'PROGRESS'], ...rows], terminal)
}

/** Newest first. */
async function pastAgents(client: ApiClient): Promise<PastAgentListed[]> {
  const all: PastAgentListed[] = []
  for (let before = ''; ; before = `&before=${all.at(-1)!.started_at}`) {
    const path = `/api/agents/past?limit=${PAGE}${before}`
    const { agents } = await client.send<{ agents: PastAgentListed[] }>('GET', path)
    all.push(...agents)
    if (agents.length < PAGE) return all
  }
}
