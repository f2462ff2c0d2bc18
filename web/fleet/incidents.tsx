/** Personal data that was found on any machine. The values stay there. */
import type { FleetIncident } from '../../src/panel/fleet-view.ts'
import { PII } from '../../src/pii-types.ts'
import { showName, showNumberOf } from '../../src/units.ts'
import { Action, dayAndTime, Empty, Fault, Panel, Tag } from '../parts/parts.tsx'
import { Table } from '../parts/table.tsx'
import { useLoaded } from '../parts/use-loaded.ts'

export function FleetIncidents() {
  const { value, fault, reload } = useLoaded<{ incidents: FleetIncident[]; next: string | null }>(
    '/api/fleet/incidents?limit=500',
  )
  const incidents = value.value?.incidents
  return (
    <main class="stack">
      <Panel
        name="incidents"
        title="Incidents"
        aside={
          <>
            {incidents && (
              <span class="dim">
                {value.value?.next ? 'the last ' : ''}
                {showNumberOf(incidents.length, 'incident')}
              </span>
            )}
            <Action label="Refresh" kind="ghost" act={reload} />
          </>
        }
      >
        <Fault text={fault.value} />
        {incidents?.length === 0 && (
          <Empty title="No personal data was found">
            <p>What machines found in the last 90 days appears here. The values stay on the machine.</p>
          </Empty>
        )}
        {incidents && incidents.length > 0 && (
          <Table
            label="Incidents found"
            columns={{ When: '', Type: '', Machine: '', Agent: '', Where: 'wide', Action: 'wide' }}
          >
            <tbody>
              {incidents.map((incident, row) => (
                <IncidentRow key={row} incident={incident} />
              ))}
            </tbody>
          </Table>
        )}
      </Panel>
    </main>
  )
}

function IncidentRow({ incident: { at, machine, agent, type, action, place, count } }: { incident: FleetIncident }) {
  const { risk, title } = PII[type]
  return (
    <tr>
      <td title={at}>{dayAndTime(at)}</td>
      <td>
        <Tag tone={risk === 'HIGH' ? 'bad' : 'warn'}>{risk}</Tag> {title}
        {count > 1 && <span class="dim"> × {count}</span>}
      </td>
      <td>{machine}</td>
      <td>{agent}</td>
      <td class="wide">{showName(place)}</td>
      <td class="wide">{action}</td>
    </tr>
  )
}
