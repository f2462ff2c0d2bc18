/** Spending that left its usual range, and personal data that was found on any machine. The values stay there. */
import { showUsd } from '../../src/core/money.ts'
import { showName } from '../../src/core/units.ts'
import type { FleetIncident, SpendingAlertView } from '../../src/panel/fleet-view.ts'
import { Found } from '../parts/found.tsx'
import { LoadedTable } from '../parts/loaded-table.tsx'
import { dayAndTime, Fault, Panel } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

export function FleetIncidents() {
  const { value, fault, reload } = useLoaded<{ incidents: FleetIncident[]; next: string | null }>(
    '/api/fleet/incidents?limit=500',
  )
  return (
    <main class="stack">
      <UnusualSpending />
      <LoadedTable
        name="incidents"
        title="Incidents"
        unit="incident"
        fault={fault}
        reload={reload}
        entries={value.value?.incidents}
        isCut={value.value?.next != null}
        empty={{
          title: 'No personal data was found',
          children: <p>What machines found in the last 90 days appears here. The values stay on the machine.</p>,
        }}
        label="Incidents found"
        columns={{ When: '', Type: '', Machine: '', Agent: '', Where: 'wide', Action: 'wide' }}
      >
        {(incident, row) => <IncidentRow key={row} incident={incident} />}
      </LoadedTable>
    </main>
  )
}

/** Nothing without an alert. */
function UnusualSpending() {
  const { value, fault } = useLoaded<{ alerts: SpendingAlertView[] }>('/api/fleet/spending/alerts')
  const alerts = value.value?.alerts ?? []
  if (alerts.length === 0 && !fault.value) return null
  return (
    <Panel name="unusual-spending" title="Unusual spending">
      <Fault text={fault.value} />
      <p class="dim">
        Days far above what an agent or user usually spends in a day. Nobody is stopped: budgets do that.
      </p>
      <Table
        cards
        label="Spending that left its usual range"
        columns={{ Raised: '', Day: '', Who: '', Spent: 'figure', 'Usual per day': 'figure' }}
      >
        <tbody>
          {alerts.map(({ raised_at, day, scope, name, spent_usd, usual_usd }) => (
            <tr key={`${day} ${scope} ${name}`}>
              <td title={raised_at}>{dayAndTime(raised_at)}</td>
              <td>{day}</td>
              <td>
                <span class="dim">{scope}</span> {name}
              </td>
              <td class="figure">{showUsd(spent_usd)}</td>
              <td class="figure">{showUsd(usual_usd)}</td>
            </tr>
          ))}
        </tbody>
      </Table>
    </Panel>
  )
}

function IncidentRow({ incident: { at, machine, agent, type, action, place, count } }: { incident: FleetIncident }) {
  return (
    <tr>
      <td title={at}>{dayAndTime(at)}</td>
      <td>
        <Found type={type} />
        {count > 1 && <span class="dim"> × {count}</span>}
      </td>
      <td>{machine}</td>
      <td>{agent}</td>
      <td class="wide">{showName(place)}</td>
      <td class="wide">{action}</td>
    </tr>
  )
}
