/** Settings that can be changed while the server runs, for admins: limits, people, tokens, alerts, and the configuration and prices in force. */
import { useSignal } from '@preact/signals'
import { showUsd, type Usd } from '../../src/core/money.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Action, Fault, Panel, Row, Tag } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import { ConfigurationPanel } from './configuration.tsx'
import { PricesPanel } from './prices.tsx'
import { TokensPanel } from './tokens.tsx'
import { UsersPanel } from './users.tsx'
import './settings-page.css'

export const SettingsPage = () => (
  <main class="settings">
    <BudgetsPanel />
    <AlertsPanel />
    <UsersPanel />
    <TokensPanel agentHelp="makes calls within its budget" budgetHelp="100" />
    <ConfigurationPanel />
    <PricesPanel />
  </main>
)

interface Budgets {
  server: { limit_usd: Usd; spent_usd: Usd } | null
  run: { limit_usd: Usd } | null
}

function BudgetsPanel() {
  const { value, fault, reload } = useLoaded<Budgets>('/api/budgets')
  const editing = useSignal<'server' | 'run' | null>(null)
  const budgets = value.value
  const change = (label: string, scope: 'server' | 'run') => (
    <button
      type="button"
      class="btn ghost"
      aria-label={`Change the limit of ${label}`}
      onClick={() => (editing.value = scope)}
    >
      Change
    </button>
  )
  return (
    <Panel name="budgets" title="Budgets">
      <Fault text={fault.value} />
      {budgets && (
        <div class="rows">
          <Row label="All agents together">
            {budgets.server ? (
              <>
                {showUsd(budgets.server.spent_usd)} of {showUsd(budgets.server.limit_usd)}{' '}
                {change('the server', 'server')}
              </>
            ) : (
              'no limit (budget.server_usd)'
            )}
          </Row>
          <Row label="Each run">
            {budgets.run ? (
              <>
                {showUsd(budgets.run.limit_usd)} {change('each run', 'run')}
              </>
            ) : (
              'no limit (budget.per_run_usd)'
            )}
          </Row>
        </div>
      )}
      {editing.value && (
        <Dialog
          title={editing.value === 'server' ? 'Limit of all agents together' : 'Limit of each run'}
          submit="Set"
          onClose={() => (editing.value = null)}
          act={async (form) => {
            await send('PATCH', `/api/budgets/${editing.value}`, { limit_usd: form.get('limit') })
            await reload()
          }}
        >
          <label>
            US dollars
            <input name="limit" inputMode="decimal" required autocomplete="off" />
          </label>
        </Dialog>
      )}
    </Panel>
  )
}

function AlertsPanel() {
  const { value, fault } = useLoaded<{ channels: string[] }>('/api/alerts/channels')
  const sent = useSignal<string | null>(null)
  const test = async () => {
    const { channels } = await send<{ channels: string[] }>('POST', '/api/alerts/test')
    sent.value = `Sent to ${channels.join(', ')}. The notification says whether it arrived.`
  }
  const channels = value.value?.channels
  return (
    <Panel
      name="alert-channels"
      title="Alert destinations"
      aside={channels && channels.length > 0 && <Action label="Send a test" act={test} />}
    >
      <Fault text={fault.value} />
      {channels?.length === 0 && (
        <p class="dim empty">
          None. Add <code>alerts.email</code> or <code>alerts.webhooks</code> to the configuration.
        </p>
      )}
      <div class="rows">
        {channels?.map((name) => (
          <Row key={name} label={name}>
            <Tag tone="ok" mark="✔">
              configured
            </Tag>
          </Row>
        ))}
      </div>
      {sent.value && <p role="status">{sent.value}</p>}
    </Panel>
  )
}
