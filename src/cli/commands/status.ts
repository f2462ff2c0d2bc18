import type { AgentStatus } from '../../api/agents.ts'
import type { ConfiguredBudgets } from '../../api/budgets.ts'
import { showCount, showName, showNumberOf } from '../../core/units.ts'
import { wrapLines } from '../../log/wrap.ts'
import { type Limit, limitsOf } from '../../state/figures.ts'
import { limitsText, type ShownFigures, shownFigures, showTags } from '../../state/figures-text.ts'
import type { AgentView, CircuitView } from '../../state/snapshot.ts'
import type { SharedBudget } from '../../uplink/shared-budget.ts'
import { AGENT_HELP, resolveAgentId } from '../client/agent-id.ts'
import type { ApiClient, SnapshotResponse } from '../client/client.ts'
import { withClient } from '../client/offline-client.ts'
import { pathSegment } from '../client/path-segment.ts'
import { type CliCommand, command } from '../command.ts'
import { json, tree } from '../output/print.ts'
import type { Terminal } from '../output/terminal.ts'
import { withDatabase } from '../settings/flags.ts'
import { sharedEntries } from '../start/shared-lines.ts'

export const statusCommand: CliCommand = (terminal) =>
  command({
    command: 'status [id]',
    describe: 'Show the server, its agents and circuits, or one agent',
    builder: (yargs) =>
      withDatabase(yargs)
        .positional('id', { type: 'string', describe: AGENT_HELP })
        .option('json', { type: 'boolean', describe: 'Print JSON' })
        .example([['$0 status lg-7a3f9c2d', 'one agent in full']]),
    handler: ({ id: named, json: asJson, ...flags }) =>
      withClient(flags, terminal, (client) =>
        named === undefined ? showServer(client, asJson, terminal) : showAgent(client, named, asJson, terminal),
      ),
  })

async function showAgent(client: ApiClient, named: string, asJson: boolean | undefined, terminal: Terminal) {
  const id = await resolveAgentId(client, named)
  const status = await client.send<AgentStatus>('GET', `/api/agents/${pathSegment(id)}/status`)
  if (asJson) return terminal.out(json(status))
  wrapLines(agentLines(status.agent, status.figures, status.budgets), terminal.columns).forEach(terminal.out)
}

async function showServer(client: ApiClient, asJson: boolean | undefined, terminal: Terminal) {
  const { snapshot, server_time } = await client.send<SnapshotResponse>('GET', '/api/snapshot')
  const agents = Object.values(snapshot.agents).map((agent) => ({
    agent,
    figures: shownFigures(agent, Date.parse(server_time)),
    budgets: limitsOf(agent, snapshot),
  }))
  const circuits = Object.values(snapshot.circuits)
  // A killed server has left itself in the snapshot.
  const server = client.file === undefined ? snapshot.server : null
  const { shared } = await client.send<ConfiguredBudgets>('GET', '/api/budgets')
  if (asJson) return terminal.out(json({ server, shared, agents, circuits }))
  for (const line of await serverLines(client, server)) terminal.out(line)
  wrapLines(sharedText(shared, server !== null), terminal.columns).forEach(terminal.out)
  if (agents.length === 0) terminal.err('no agent has run here yet')
  const lines = agents.flatMap(({ agent, figures: shown, budgets }) => agentLines(agent, shown, budgets))
  if (circuits.length > 0) lines.push(...tree('circuits', circuits.map(circuitEntry)))
  wrapLines(lines, terminal.columns).forEach(terminal.out)
}

const sharedText = (shared: SharedBudget | null, isServed: boolean): string[] =>
  sharedEntries(shared, isServed).flatMap(([name, text]) =>
    text === null ? [] : [`${name.toLowerCase().padEnd(6)}  ${text}`],
  )

async function serverLines(client: ApiClient, server: SnapshotResponse['snapshot']['server']): Promise<string[]> {
  if (client.file !== undefined) return [`server  none runs on ${client.file}: this is what the file holds`]
  if (!server) return ['server']
  // A viewer gets no link, nor does anybody while the disk is full, which is when the state is asked for.
  const made = await client.send<{ code: string }>('POST', '/api/auth/code').catch(() => undefined)
  return [
    `server  ${server.url}  version ${server.version}  since ${server.started_at}`,
    ...(made ? [`open    ${server.url}/#code=${made.code}`] : []),
  ]
}

function agentLines(agent: AgentView, shown: ShownFigures, budgets: readonly Limit[]): string[] {
  return tree(`${agent.id}  ${agent.name}  ${agent.state}`, [
    ['script', agent.script],
    ['deployed with', agent.strategy ?? null],
    ['tags', showTags(agent.tags) || null],
    ['why', agent.reason],
    ['process', agent.pid === null ? null : String(agent.pid)],
    ['restarts', agent.restarts > 0 ? String(agent.restarts) : null],
    ['budget', `${shown.spent}, ${shown.used}`],
    ['', limitsText(budgets)],
    ['cost', [shown.average, shown.projection].filter(Boolean).join(', ') || null],
    ['progress', shown.progress],
    ['success', shown.success],
    ['pace', [shown.throughput, shown.p95 && `P95: ${shown.p95}`].filter(Boolean).join(', ') || null],
    ['calls', `${agent.calls.completed} completed, ${agent.calls.failed} failed`],
    ['safety', `${agent.safety_mode}, ${shown.leaks_stopped} found`],
  ])
}

const circuitEntry = ({ name, state, trips, blocked, reason }: CircuitView): [string, string] => [
  name,
  `${showName(state)}, ${showNumberOf(trips, 'trip')}, ${showCount(blocked)} blocked${state === 'closed' || !reason ? '' : `, ${reason}`}`,
]
