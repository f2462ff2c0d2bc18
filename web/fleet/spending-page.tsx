/** The cost of the agents of all machines, by day and model, agent, team, user or machine. */

import { fromUsd, nanodollars, showUsd, toUsd } from '../../src/core/money.ts'
import { showCount } from '../../src/core/units.ts'
import type { FleetSpending } from '../../src/panel/fleet-view.ts'
import { address, setQuery } from '../address.ts'
import { SpendingChart } from '../history/spending-chart.tsx'
import { chosenDays, RANGES, TimeRange } from '../history/time-range.tsx'
import { Fault, Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

/** By what spending is divided; the first one without another choice. */
const DIMENSIONS: Readonly<Record<string, string>> = {
  model: 'Model',
  agent: 'Agent',
  team: 'Team',
  user: 'User',
  machine: 'Machine',
}
const FLEET_RANGES = { ...RANGES, year: 365 }

export function SpendingPage() {
  const query = address.value?.query ?? new URLSearchParams()
  const by = query.get('by') ?? 'model'
  const days = chosenDays(FLEET_RANGES)
  const { value, fault } = useLoaded<{ days: FleetSpending[] }>(`/api/fleet/spending?days=${days}&by=${by}`)
  const spending = value.value?.days.map(({ day, parts }) => ({
    day,
    models: parts.map(({ name, ...part }) => ({ ...part, name: name || 'none' })),
  }))
  return (
    <main class="stack">
      <Panel
        name="spending"
        title="Spending per day"
        aside={
          <>
            <select
              aria-label="Divided by"
              value={by}
              onChange={({ currentTarget }) => setQuery('by', currentTarget.value)}
            >
              {Object.entries(DIMENSIONS).map(([name, title]) => (
                <option key={name} value={name}>
                  by {title.toLowerCase()}
                </option>
              ))}
            </select>
            <TimeRange ranges={FLEET_RANGES} />
          </>
        }
      >
        <Fault text={fault.value} />
        {spending && <SpendingChart days={spending} />}
        <p class="dim">As reported by machines. The fleet page shows what counts against budgets.</p>
      </Panel>
      {spending && <Totals title={DIMENSIONS[by] ?? ''} days={spending} />}
    </main>
  )
}

interface Total {
  name: string
  calls: number
  nanos: number
}

function Totals({ title, days }: { title: string; days: readonly { models: FleetSpending['parts'] }[] }) {
  const totals = new Map<string, Total>()
  for (const { name, calls, cost_usd } of days.flatMap(({ models }) => models)) {
    const before = totals.get(name) ?? { name, calls: 0, nanos: 0 }
    totals.set(name, { name, calls: before.calls + calls, nanos: before.nanos + fromUsd(cost_usd) })
  }
  const rows = [...totals.values()].sort((one, other) => other.nanos - one.nanos)
  if (rows.length === 0) return null
  return (
    <Panel name="totals" title={`By ${title.toLowerCase()}`}>
      <Table label={`Spending by ${title.toLowerCase()}`} columns={{ [title]: '', Calls: 'figure', Spent: 'figure' }}>
        <tbody>
          {rows.map(({ name, calls, nanos }) => (
            <tr key={name}>
              <td>{name}</td>
              <td class="figure">{showCount(calls)}</td>
              <td class="figure">{showUsd(toUsd(nanodollars(nanos)))}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Panel>
  )
}
