/** All agents ever started, spending by day and model, and two runs side by side. */
import { showUsd } from '../../src/core/money.ts'
import { showCount, showDuration } from '../../src/core/units.ts'
import type { DaySpending, HistoryRow } from '../../src/state/history-view.ts'
import { isClient } from '../../src/state/snapshot.ts'
import { address, agentAddress, setQuery } from '../address.ts'
import { StateTag } from '../panels/status.tsx'
import { dayAndTime, Empty, Fault, Panel, Tag } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { serverNow } from '../store.ts'
import { Comparison } from './comparison.tsx'
import { SpendingChart } from './spending-chart.tsx'
import { chosenDays, RANGES, TimeRange } from './time-range.tsx'

const DAY_MS = 86_400_000

export function HistoryPage() {
  const query = address.value?.query ?? new URLSearchParams()
  const name = query.get('name') ?? ''
  const days = chosenDays(RANGES)
  const chosen = (query.get('compare') ?? '').split(',').filter(Boolean)
  const from = new Date(Math.floor(serverNow.value / DAY_MS) * DAY_MS - (days - 1) * DAY_MS).toISOString()
  const spending = useLoaded<{ days: DaySpending[] }>(`/api/spending?days=${days}`)
  const before = query.get('before') ?? ''
  const search = new URLSearchParams({ limit: '200', from, ...(name && { named: name }), ...(before && { before }) })
  const runs = useLoaded<{ agents: HistoryRow[] }>(`/api/history?${search}`)
  const rows = runs.value.value?.agents
  return (
    <main class="stack">
      <Panel name="spending" title="Spending per day" aside={<TimeRange ranges={RANGES} />}>
        <Fault text={spending.fault.value} />
        {spending.value.value && <SpendingChart days={spending.value.value.days} />}
      </Panel>
      {chosen.length === 2 && <Comparison ids={[chosen[0]!, chosen[1]!]} onClose={() => setQuery('compare', '')} />}
      <Panel
        name="runs"
        title="Runs"
        aside={
          <>
            {chosen.length === 1 && <span class="dim">Choose a second run to compare</span>}
            <input
              type="search"
              aria-label="Runs of an agent"
              placeholder="agent name"
              value={name}
              onChange={({ currentTarget }) => setQuery('name', currentTarget.value.trim())}
            />
          </>
        }
      >
        <Fault text={runs.fault.value} />
        {rows?.length === 0 && (
          <Empty title="No runs in this time">
            <p>Every agent that was started is listed here, whatever became of it.</p>
          </Empty>
        )}
        {rows && rows.length > 0 && (
          <Table label="Runs found" columns={COLUMNS}>
            <tbody>
              {rows.map((row) => (
                <RunRow key={row.id} row={row} chosen={chosen} />
              ))}
            </tbody>
          </Table>
        )}
        {rows?.length === 200 && (
          <button type="button" class="btn" onClick={() => setQuery('before', rows.at(-1)!.started_at)}>
            Older
          </button>
        )}
      </Panel>
    </main>
  )
}

const COLUMNS = {
  Compare: '',
  Started: '',
  Agent: '',
  State: '',
  Took: 'wide figure',
  Calls: 'wide figure',
  Spent: 'figure',
} as const

function RunRow({ row, chosen }: { row: HistoryRow; chosen: readonly string[] }) {
  const { id, name, state, reason, started_at, ended_at, calls_completed, calls_failed, spent_usd, limit_usd } = row
  const isChosen = chosen.includes(id)
  const choose = () => {
    const next = isChosen ? chosen.filter((other) => other !== id) : [...chosen, id].slice(-2)
    setQuery('compare', next.join(','))
  }
  return (
    <tr>
      <td>
        <input type="checkbox" aria-label={`Compare ${id}`} checked={isChosen} onChange={choose} />
      </td>
      <td title={started_at}>{dayAndTime(started_at)}</td>
      <td>
        <a href={agentAddress(id)}>{name}</a> <span class="wide mono dim">{id}</span>
      </td>
      <td title={reason ?? ''}>{isClient(row) ? <Tag tone="info">Client</Tag> : <StateTag state={state} />}</td>
      <td class="wide figure">
        {showDuration((ended_at ? Date.parse(ended_at) : serverNow.value) - Date.parse(started_at))}
      </td>
      <td class="wide figure">
        {showCount(calls_completed)}
        {calls_failed > 0 && <span class="dim"> + {showCount(calls_failed)} failed</span>}
      </td>
      <td class="figure">
        {showUsd(spent_usd)} <span class="wide dim">/ {showUsd(limit_usd)}</span>
      </td>
    </tr>
  )
}
