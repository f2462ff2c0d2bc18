/** Personal data that was found, with the value for admins, and a place to try the policy on a text. */
import { useSignal } from '@preact/signals'
import { PII, type PiiType } from '../../src/core/pii-types.ts'
import { showName } from '../../src/core/units.ts'
import { agentAddress, callAddressOf } from '../address.ts'
import { nameOf } from '../names.ts'
import { Found } from '../parts/found.tsx'
import { LoadedTable } from '../parts/loaded-table.tsx'
import { Marked } from '../parts/marked.tsx'
import { Action, AdminAction, ago, Panel } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import { serverNow } from '../store.ts'
import './incidents-page.css'

interface Incident {
  id: string
  at: string
  agent_id: string
  call_id: string | null
  type: PiiType
  action: string
  place: string
  original: 'not_kept' | 'sealed'
}

export function IncidentsPage() {
  const { value, fault, reload } = useLoaded<{ incidents: Incident[] }>('/api/pii/incidents?limit=500')
  return (
    <main class="stack">
      <LoadedTable
        name="incidents"
        title="Incidents"
        unit="incident"
        fault={fault}
        reload={reload}
        entries={value.value?.incidents}
        empty={{
          title: 'No personal data was found',
          children: <p>Findings in replies, tool arguments, requests and output appear here.</p>,
        }}
        label="Incidents found"
        columns={{ When: '', Type: '', Agent: '', Where: 'wide', Action: 'wide', Value: '' }}
      >
        {(incident) => <IncidentRow key={incident.id} incident={incident} />}
      </LoadedTable>
      <Playground />
    </main>
  )
}

function IncidentRow({
  incident: { id, at, agent_id, call_id, type, action, place, original },
}: {
  incident: Incident
}) {
  return (
    <tr>
      <td title={at}>{ago(at, serverNow.value)}</td>
      <td>
        <Found type={type} />
      </td>
      <td>
        <a href={agentAddress(agent_id)}>{nameOf(agent_id)}</a>
      </td>
      <td class="wide">{call_id ? <a href={callAddressOf(call_id)}>{showName(place)}</a> : showName(place)}</td>
      <td class="wide">{action}</td>
      <td>{original === 'sealed' ? <Original id={id} /> : <span class="dim">not kept</span>}</td>
    </tr>
  )
}

function Original({ id }: { id: string }) {
  const shown = useSignal<string | null>(null)
  const load = async () => {
    shown.value = (await send<{ original: string }>('GET', `/api/pii/incidents/${id}/original`)).original
  }
  if (shown.value === null) return <AdminAction label="Reveal" title={`Reveal ${id}`} kind="ghost" act={load} />
  return (
    <>
      <code>{shown.value}</code>{' '}
      <button type="button" class="btn ghost" onClick={() => (shown.value = null)}>
        Hide
      </button>
    </>
  )
}

interface Scanned {
  text: string
  findings: { type: PiiType; risk: string; action: string; start: number; end: number }[]
}

const SAMPLE = 'Contact ceo@acme.com or 415-555-0123 about invoice 7.'

/** The policy in force, tried on a text of the reader's own. */
function Playground() {
  const text = useSignal(SAMPLE)
  const scanned = useSignal<Scanned | null>(null)
  const scan = async () => {
    scanned.value = await send<Scanned>('POST', '/api/scan', { text: text.value })
  }
  return (
    <Panel name="playground" title="Try the redaction" aside={<Action label="Redact" kind="primary" act={scan} />}>
      <textarea
        rows={4}
        aria-label="Text to redact"
        value={text.value}
        onInput={({ currentTarget }) => {
          text.value = currentTarget.value
        }}
      />
      {scanned.value && (
        <div class="scanned" role="status">
          <Marked text={scanned.value.text} />
          <p class="dim">
            {scanned.value.findings.length === 0
              ? 'Nothing was found.'
              : scanned.value.findings
                  .map(({ type, risk, start, end }) => `${PII[type].title} (${risk}) at ${start}–${end}`)
                  .join(', ')}
          </p>
        </div>
      )}
      <p class="dim">With the policy in force. Nothing of it is stored.</p>
    </Panel>
  )
}
