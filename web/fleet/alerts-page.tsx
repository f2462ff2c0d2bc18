/** For admins: past alerts, their destinations, and the organization's webhooks. */
import { useSignal } from '@preact/signals'
import type { AlertWebhookView, PanelAlertKind, PanelAlertView } from '../../src/panel/fleet-view.ts'
import { Dialog } from '../parts/dialog.tsx'
import { LoadedTable } from '../parts/loaded-table.tsx'
import { Action, ago, dayAndTime, Fault, Panel, Row, Tag } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import { serverNow } from '../store.ts'

const KINDS: Readonly<Record<PanelAlertKind, string>> = {
  'budget.warned': 'a budget is nearly spent',
  'spending.unusual': 'spending leaves its usual range',
  'lease.quarantined': 'a lease needs to be resolved',
  'lease.expired': 'a machine with money is silent for a day',
  'request.created': 'somebody asks for more',
  'sign_in.failed': 'many sign-ins fail',
  'books.broken': 'the books do not agree',
}

export function AlertsPage() {
  const { value, fault, reload } = useLoaded<{ alerts: PanelAlertView[] }>('/api/alerts')
  return (
    <main class="stack">
      <Places onTested={reload} />
      <LoadedTable
        name="alerts"
        title="Alerts"
        unit="alert"
        fault={fault}
        reload={reload}
        entries={value.value?.alerts}
        empty={{
          title: 'No alert was sent yet',
          children: <p>Alerts appear here once there is somewhere to send them.</p>,
        }}
        label="Alerts sent"
        columns={{ When: '', Alert: '', Sent: '' }}
      >
        {(alert) => <AlertRow key={alert.id} alert={alert} onResent={reload} />}
      </LoadedTable>
    </main>
  )
}

/** Where alerts go, and what changes that. */
function Places({ onTested }: { onTested: () => Promise<void> }) {
  const { value, fault, reload } = useLoaded<{ channels: string[] }>('/api/alerts/channels')
  const own = useLoaded<{ webhooks: AlertWebhookView[] }>('/api/fleet/webhooks')
  const isAdding = useSignal(false)
  const changed = async () => {
    await reload()
    await own.reload()
  }
  const webhooks = own.value.value?.webhooks ?? []
  const given = value.value?.channels.filter((name) => !webhooks.some(({ id }) => name.endsWith(`(${id})`)))
  return (
    <Panel
      name="alert-places"
      title="Where alerts go"
      aside={
        <>
          <Action
            label="Send a test"
            kind="ghost"
            act={async () => {
              await send('POST', '/api/alerts/test')
              await onTested()
            }}
          />
          <button type="button" class="btn" onClick={() => (isAdding.value = true)}>
            + Add webhook
          </button>
        </>
      }
    >
      <Fault text={fault.value ?? own.fault.value} />
      <div class="rows">
        {given?.map((name) => (
          <Row key={name} label={name}>
            <span class="dim">
              {name === 'e-mail' ? 'to the admins with an address' : 'set by whoever runs the panel'}
            </span>
          </Row>
        ))}
        {webhooks.map((webhook) => (
          <WebhookRow key={webhook.id} webhook={webhook} onRemoved={changed} />
        ))}
      </div>
      {given?.length === 0 && webhooks.length === 0 && (
        <p class="dim empty">Nowhere yet. Add a webhook, or have whoever runs the panel name a mail server.</p>
      )}
      {isAdding.value && <AddDialog onAdded={changed} onClose={() => (isAdding.value = false)} />}
    </Panel>
  )
}

const WebhookRow = ({
  webhook: { id, host, events, created_at, created_by },
  onRemoved,
}: {
  webhook: AlertWebhookView
  onRemoved: () => Promise<void>
}) => (
  <Row label={`webhook ${host}`}>
    <span class="dim" title={id}>
      {events ? events.map((kind) => KINDS[kind]).join(', ') : 'all alerts'}, by {created_by}{' '}
      {ago(created_at, serverNow.value)}
    </span>{' '}
    <Action
      label="Remove"
      title={`Remove the webhook ${id}`}
      kind="ghost"
      confirm="Really remove?"
      act={async () => {
        await send('DELETE', `/api/fleet/webhooks/${id}`)
        await onRemoved()
      }}
    />
  </Row>
)

function AddDialog({ onAdded, onClose }: { onAdded: () => Promise<void>; onClose: () => void }) {
  const act = async (fields: FormData) => {
    const events = fields.getAll('events')
    const secret = fields.get('secret')
    const isForAll = events.length === Object.keys(KINDS).length
    const body = { url: fields.get('url'), ...(secret && { secret }), ...(!isForAll && { events }) }
    await send('POST', '/api/fleet/webhooks', body)
    await onAdded()
  }
  return (
    <Dialog title="Add a webhook" submit="Add" act={act} onClose={onClose}>
      <p>Each alert is posted there as JSON, in a form that Slack shows too. The address is not shown again.</p>
      <label>
        Address
        <input name="url" type="url" placeholder="https://hooks.slack.com/services/…" autocomplete="off" required />
      </label>
      <label>
        Key that signs each delivery, if the receiver asks for one
        <input name="secret" maxLength={1024} autocomplete="off" />
      </label>
      <fieldset>
        <legend>When</legend>
        {Object.entries(KINDS).map(([kind, when]) => (
          <label key={kind}>
            <input type="checkbox" name="events" value={kind} defaultChecked /> {when}
          </label>
        ))}
      </fieldset>
    </Dialog>
  )
}

function AlertRow({
  alert: { id, at, level, title, detail, delivered, pending, failed },
  onResent,
}: {
  alert: PanelAlertView
  onResent: () => Promise<void>
}) {
  return (
    <tr>
      <td title={at}>{dayAndTime(at)}</td>
      <td>
        <Tag tone={level === 'CRIT' ? 'bad' : level === 'WARN' ? 'warn' : 'info'}>{level}</Tag> {title}
        <p class="dim">{detail}</p>
      </td>
      <td>
        {delivered.length > 0 && <p>by {delivered.join(', ')}</p>}
        {pending.length > 0 && <p class="dim">on its way by {pending.join(', ')}</p>}
        {failed.map(({ channel, error }) => (
          <p key={channel}>
            <Tag tone="bad">not sent</Tag> by {channel}: {error}
          </p>
        ))}
        {failed.length > 0 && (
          <Action
            label="Send again"
            title={`Send again: ${title}`}
            kind="ghost"
            act={async () => {
              await send('POST', `/api/alerts/${id}/resend`)
              await onResent()
            }}
          />
        )}
      </td>
    </tr>
  )
}
