/** All agents in one table: sorted, searched and grouped by name; what needs attention comes first. */
import { useSignal } from '@preact/signals'
import { addUsd, fromUsd, showUsd, ZERO_USD } from '../../src/core/money.ts'
import { showCount, showDuration, showNumberOf } from '../../src/core/units.ts'
import { findingsOf, usedPercent } from '../../src/state/figures.ts'
import { shownFigures } from '../../src/state/figures-text.ts'
import { type AgentView, isClient } from '../../src/state/snapshot.ts'
import { address, agentAddress, setQuery } from '../address.ts'
import { StateTag } from '../panels/status.tsx'
import { ago, Tag } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { isAlive, needsAttention } from '../store.ts'
import './agent-table.css'

type Order = (a: AgentView, b: AgentView) => number

const newestFirst: Order = (a, b) => b.started_at.localeCompare(a.started_at)

const ORDERS: Readonly<Record<string, { word: string; order: Order }>> = {
  '': { word: 'needs attention first', order: (a, b) => rank(a) - rank(b) || newestFirst(a, b) },
  spent: { word: 'highest spending first', order: (a, b) => fromUsd(b.spent_usd) - fromUsd(a.spent_usd) },
  used: { word: 'nearest to its limit first', order: (a, b) => usedPercent(b) - usedPercent(a) },
  name: { word: 'by name', order: (a, b) => a.name.localeCompare(b.name) },
  newest: { word: 'newest first', order: newestFirst },
}

/** Low for rows that a person needs first: trouble, findings, running agents, clients, ended ones. */
function rank(agent: AgentView): number {
  if (needsAttention(agent)) return 0
  if (!isAlive(agent)) return 4
  if (findingsOf(agent) > 0) return 1
  return isClient(agent) ? 3 : 2
}

/** The search, the order and the grouping; each is a parameter of the address. */
export function AgentTools() {
  const query = address.value?.query ?? new URLSearchParams()
  return (
    <>
      <input
        type="search"
        aria-label="Find an agent"
        placeholder="find an agent"
        value={query.get('find') ?? ''}
        onInput={({ currentTarget }) => setQuery('find', currentTarget.value)}
      />
      <select
        aria-label="Order of the agents"
        value={query.get('sort') ?? ''}
        onChange={({ currentTarget }) => setQuery('sort', currentTarget.value)}
      >
        {Object.entries(ORDERS).map(([name, { word }]) => (
          <option key={name} value={name}>
            {word}
          </option>
        ))}
      </select>
      <label class="check">
        <input
          type="checkbox"
          checked={query.has('group')}
          onChange={({ currentTarget }) => setQuery('group', currentTarget.checked ? 'name' : '')}
        />
        group by name
      </label>
    </>
  )
}

/** Rows rendered at first, and with each press of "Show more". */
const ROWS = 100

const COLUMNS = {
  Agent: '',
  State: '',
  Spent: 'figure',
  'Of its limit': 'wide',
  Work: 'wide',
  Leaks: 'wide figure',
  Since: 'wide figure',
} as const

export function AgentTable({ agents, nowMs }: { agents: readonly AgentView[]; nowMs: number }) {
  const query = address.value?.query ?? new URLSearchParams()
  const max = useSignal(ROWS)
  const words = (query.get('find') ?? '').trim().toLowerCase()
  const { order } = ORDERS[query.get('sort') ?? ''] ?? ORDERS['']!
  const found = agents
    .filter(({ id, name, script, strategy = '' }) =>
      `${id} ${name} ${script} ${strategy}`.toLowerCase().includes(words),
    )
    .sort(order)
  if (found.length === 0) return <p class="dim empty">No agent is called “{words}”.</p>
  const hidden = found.length - max.value
  return (
    <Table
      label="Agents"
      class="agent-table"
      columns={COLUMNS}
      after={
        hidden > 0 && (
          <button type="button" class="btn" onClick={() => (max.value += ROWS)}>
            Show {showCount(Math.min(ROWS, hidden))} more of {showCount(hidden)}
          </button>
        )
      }
    >
      {query.has('group') ? (
        groupsOf(found).map(([name, members], index, groups) => {
          const before = groups.slice(0, index).reduce((sum, [, others]) => sum + others.length, 0)
          const rows = members.slice(0, Math.max(0, max.value - before))
          return <Group key={name} name={name} members={members} rows={rows} nowMs={nowMs} />
        })
      ) : (
        <tbody>
          {found.slice(0, max.value).map((agent) => (
            <AgentRow key={agent.id} agent={agent} nowMs={nowMs} />
          ))}
        </tbody>
      )}
    </Table>
  )
}

/** In the order of their first members. */
const groupsOf = (agents: readonly AgentView[]): [string, AgentView[]][] => [...Map.groupBy(agents, ({ name }) => name)]

/** `rows`: the members that are shown below their sum. */
function Group(props: { name: string; members: readonly AgentView[]; rows: readonly AgentView[]; nowMs: number }) {
  const { name, members, rows, nowMs } = props
  const spent = members.reduce((sum, { spent_usd }) => addUsd(sum, spent_usd), ZERO_USD)
  const attention = members.filter(needsAttention).length
  return (
    <tbody>
      <tr class="group">
        <th scope="rowgroup">
          {name} <span class="dim">{showNumberOf(members.length, 'agent')}</span>
        </th>
        <td>{attention > 0 && <Tag tone="bad">{attention} need attention</Tag>}</td>
        <td class="figure">{showUsd(spent)}</td>
        <td class="wide" colSpan={4} />
      </tr>
      {rows.map((agent) => (
        <AgentRow key={agent.id} agent={agent} nowMs={nowMs} />
      ))}
    </tbody>
  )
}

function AgentRow({ agent, nowMs }: { agent: AgentView; nowMs: number }) {
  const figures = shownFigures(agent, nowMs)
  const tone = agent.exhausted ? 'bad' : agent.warned ? 'warn' : ''
  return (
    <tr class={needsAttention(agent) ? 'attention' : ''}>
      <td>
        <a href={agentAddress(agent.id)} data-agent={agent.id}>
          {agent.name}
        </a>{' '}
        <span class="mono dim">{agent.id}</span>
        {agent.strategy && <Tag tone="info">{agent.strategy}</Tag>}
      </td>
      <td title={agent.reason ?? ''}>
        {isClient(agent) ? <Tag tone="info">Client</Tag> : <StateTag state={agent.state} />}
      </td>
      <td class="figure">{figures.spent}</td>
      <td class="wide">
        <span class={`bar budget ${tone}`} title={figures.used}>
          <i style={{ width: `${Math.min(100, figures.used_percent)}%` }} />
        </span>
      </td>
      <td class="wide">{figures.progress ?? showNumberOf(agent.calls.completed, 'call')}</td>
      <td class="wide figure">{figures.leaks_stopped > 0 ? showCount(figures.leaks_stopped) : ''}</td>
      <td class="wide figure dim">
        {agent.ended_at ? `ended ${ago(agent.ended_at, nowMs)}` : `for ${showDuration(figures.uptime_ms)}`}
      </td>
    </tr>
  )
}
