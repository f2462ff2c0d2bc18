/** All agents in one table: sorted, searched and grouped by name; what needs attention comes first. */
import { addUsd, fromUsd, showUsd, ZERO_USD } from '../../src/money.ts'
import { type ShownFigures, shownFigures } from '../../src/state/figures-text.ts'
import { type AgentView, isClient } from '../../src/state/snapshot.ts'
import { showCount, showDuration, showNumberOf } from '../../src/units.ts'
import { address, agentAddress, setQuery } from '../address.ts'
import { StateTag } from '../panels/status.tsx'
import { ago, Tag } from '../parts/parts.tsx'
import { isAlive, needsAttention } from '../store.ts'
import './agent-table.css'

interface Shown {
  agent: AgentView
  figures: ShownFigures
}

type Order = (a: Shown, b: Shown) => number

const ORDERS: Readonly<Record<string, { word: string; order: Order }>> = {
  '': {
    word: 'needs attention first',
    order: (a, b) =>
      Number(needsAttention(b.agent)) - Number(needsAttention(a.agent)) ||
      Number(isAlive(b.agent)) - Number(isAlive(a.agent)) ||
      b.agent.started_at.localeCompare(a.agent.started_at),
  },
  spent: { word: 'highest spending first', order: (a, b) => fromUsd(b.agent.spent_usd) - fromUsd(a.agent.spent_usd) },
  used: { word: 'nearest to its limit first', order: (a, b) => b.figures.used_percent - a.figures.used_percent },
  name: { word: 'by name', order: (a, b) => a.agent.name.localeCompare(b.agent.name) },
  newest: { word: 'newest first', order: (a, b) => b.agent.started_at.localeCompare(a.agent.started_at) },
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

export function AgentTable({ agents, nowMs }: { agents: readonly AgentView[]; nowMs: number }) {
  const query = address.value?.query ?? new URLSearchParams()
  const words = (query.get('find') ?? '').trim().toLowerCase()
  const { order } = ORDERS[query.get('sort') ?? ''] ?? ORDERS['']!
  const shown = agents
    .filter(({ id, name, script }) => `${id} ${name} ${script}`.toLowerCase().includes(words))
    .map((agent) => ({ agent, figures: shownFigures(agent, nowMs) }))
    .sort(order)
  if (shown.length === 0) return <p class="dim empty">No agent is called “{words}”.</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a box that scrolls must be reachable by keyboard.
    <section class="scroll" tabIndex={0} aria-label="Agents">
      <table class="list agent-table">
        <thead>
          <tr>
            <th>Agent</th>
            <th>State</th>
            <th class="figure">Spent</th>
            <th class="wide">Of its limit</th>
            <th class="wide">Work</th>
            <th class="wide figure">Leaks</th>
            <th class="wide figure">Since</th>
          </tr>
        </thead>
        {query.has('group') ? (
          groupsOf(shown).map(([name, members]) => <Group key={name} name={name} members={members} nowMs={nowMs} />)
        ) : (
          <tbody>
            {shown.map((one) => (
              <AgentRow key={one.agent.id} {...one} nowMs={nowMs} />
            ))}
          </tbody>
        )}
      </table>
    </section>
  )
}

/** In the order of their first members. */
function groupsOf(shown: readonly Shown[]): [string, Shown[]][] {
  const groups = new Map<string, Shown[]>()
  for (const one of shown) groups.set(one.agent.name, [...(groups.get(one.agent.name) ?? []), one])
  return [...groups]
}

function Group({ name, members, nowMs }: { name: string; members: readonly Shown[]; nowMs: number }) {
  const spent = members.reduce((sum, { agent }) => addUsd(sum, agent.spent_usd), ZERO_USD)
  const attention = members.filter(({ agent }) => needsAttention(agent)).length
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
      {members.map((one) => (
        <AgentRow key={one.agent.id} {...one} nowMs={nowMs} />
      ))}
    </tbody>
  )
}

function AgentRow({ agent, figures, nowMs }: Shown & { nowMs: number }) {
  const tone = agent.exhausted ? 'bad' : agent.warned ? 'warn' : ''
  return (
    <tr class={needsAttention(agent) ? 'attention' : ''}>
      <td>
        <a href={agentAddress(agent.id)} data-agent={agent.id}>
          {agent.name}
        </a>{' '}
        <span class="mono dim">{agent.id}</span>
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
