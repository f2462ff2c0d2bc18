/** The agents of all machines, as far as these have reported. */
import { showUsd } from '../../src/core/money.ts'
import { showCount, showName, showNumberOf } from '../../src/core/units.ts'
import type { FleetAgentView, FleetView, RuntimeView } from '../../src/panel/fleet-view.ts'
import { StateTag } from '../panels/status.tsx'
import { dayAndTime, Empty, Panel, Tag } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { AgentOrders } from './orders.tsx'

export const Agents = ({ view: { runtimes } }: { view: FleetView }) => {
  const agents = runtimes.flatMap((runtime) => runtime.agents.map((agent) => ({ runtime, agent })))
  const lost = runtimes.reduce((sum, { lost_events }) => sum + lost_events, 0)
  return (
    <Panel
      name="agents"
      title="Agents"
      aside={
        <span class="dim">
          {lost > 0
            ? `${showNumberOf(lost, 'event')} were deleted before they could be sent`
            : `${showNumberOf(agents.length, 'agent')}, ${showCount(agents.filter(isRunning).length)} running`}
        </span>
      }
    >
      {agents.length === 0 && (
        <Empty title="No agent has run on any machine yet">
          <p>On a machine that has joined:</p>
          <pre>iron-cage start agent.py</pre>
        </Empty>
      )}
      {agents.length > 0 && (
        <Table
          cards
          label="Agents"
          columns={{
            Agent: '',
            Machine: 'wide',
            State: '',
            Work: 'wide figure',
            Calls: 'wide figure',
            Spent: 'figure',
            Limit: 'wide figure',
            '': '',
          }}
        >
          <tbody>
            {agents.map(({ runtime, agent }) => (
              <AgentRow key={`${runtime.id} ${agent.id}`} runtime={runtime} agent={agent} />
            ))}
          </tbody>
        </Table>
      )}
    </Panel>
  )
}

/** As far as is known: a silent machine may have ended. */
const isRunning = ({ runtime, agent }: { runtime: RuntimeView; agent: FleetAgentView }): boolean =>
  agent.state === 'running' && runtime.state === 'connected'

const AgentRow = ({ runtime, agent }: { runtime: RuntimeView; agent: FleetAgentView }) => (
  <tr>
    <td>
      {agent.name} <code class="id">{agent.id}</code>
    </td>
    <td class="wide">{runtime.name}</td>
    <AgentState runtime={runtime} agent={agent} />
    <td class="wide figure">{agent.work ? showWork(agent.work) : '–'}</td>
    <td class="wide figure">{showCount(agent.calls)}</td>
    <td class="figure">{showUsd(agent.spent_usd)}</td>
    <td class="wide figure">{showUsd(agent.limit_usd)}</td>
    <td>
      <AgentOrders runtime={runtime} agent={agent} />
    </td>
  </tr>
)

/** The state is unknown for an agent that had not ended at its machine's last message. */
function AgentState({ runtime: { state, last_seen_at }, agent }: { runtime: RuntimeView; agent: FleetAgentView }) {
  const isUnknown = agent.ended_at === null && state !== 'connected'
  return (
    <td title={isUnknown ? `Its state was: ${showName(agent.state)}.` : (agent.reason ?? undefined)}>
      {isUnknown ? (
        <Tag tone="off" mark="?">
          {last_seen_at === null ? 'Silent' : `Silent since ${dayAndTime(last_seen_at)}`}
        </Tag>
      ) : (
        <StateTag state={agent.state} />
      )}
    </td>
  )
}

const showWork = ({ done, total, unit }: { done: number; total: number | null; unit: string }): string =>
  `${showCount(done)}${total === null ? '' : ` of ${showCount(total)}`} ${unit}`
