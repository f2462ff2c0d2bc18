/** Settings that can be changed while the server runs, for admins: limits, people, tokens, alerts, and the prices in force. */
import { useSignal } from '@preact/signals'
import { showUsd, type Usd } from '../../src/money.ts'
import { Dialog } from '../parts/dialog.tsx'
import { Action, ago, Fault, Panel, Row, Tag } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import { serverNow } from '../store.ts'
import { PricesPanel } from './prices.tsx'
import './settings-page.css'

export const SettingsPage = () => (
  <main class="settings">
    <BudgetsPanel />
    <AlertsPanel />
    <UsersPanel />
    <TokensPanel />
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

interface User {
  id: string
  username: string
  role: 'admin' | 'viewer'
  created_at: string
}

function UsersPanel() {
  const { value, fault, reload } = useLoaded<{ users: User[] }>('/api/users')
  const isAdding = useSignal(false)
  return (
    <Panel
      name="users"
      title="Users"
      aside={
        <button type="button" class="btn" onClick={() => (isAdding.value = true)}>
          + Add user
        </button>
      }
    >
      <Fault text={fault.value} />
      {value.value?.users.length === 0 && <p class="dim empty">None: people sign in with the link in the terminal.</p>}
      <div class="rows">
        {value.value?.users.map(({ id, username, role, created_at }) => (
          <Row
            key={id}
            label={
              <>
                {username} <Tag tone={role === 'admin' ? 'warn' : 'info'}>{role}</Tag>
              </>
            }
          >
            <span class="dim">added {ago(created_at, serverNow.value)}</span>{' '}
            <Action
              label="Remove"
              title={`Remove ${username}`}
              kind="ghost"
              confirm="Really remove?"
              act={async () => {
                await send('DELETE', `/api/users/${id}`)
                await reload()
              }}
            />
          </Row>
        ))}
      </div>
      {isAdding.value && (
        <Dialog
          title="Add a user"
          submit="Add"
          onClose={() => (isAdding.value = false)}
          act={async (form) => {
            await send('POST', '/api/users', Object.fromEntries(form))
            await reload()
          }}
        >
          <label>
            User name
            <input name="username" required autocomplete="off" spellcheck={false} />
          </label>
          <label>
            Password
            <input name="password" type="password" required autocomplete="new-password" />
          </label>
          <label>
            Role
            <select name="role">
              <option value="viewer">viewer: sees everything, changes nothing</option>
              <option value="admin">admin</option>
            </select>
          </label>
        </Dialog>
      )}
    </Panel>
  )
}

interface ApiToken {
  id: string
  name: string
  role: 'admin' | 'viewer' | 'agent'
  created_at: string
  expires_at: string | null
  revoked_at: string | null
}

function TokensPanel() {
  const { value, fault, reload } = useLoaded<{ tokens: ApiToken[] }>('/api/tokens')
  const isAdding = useSignal(false)
  const created = useSignal<string | null>(null)
  const valid = value.value?.tokens.filter(({ revoked_at }) => revoked_at === null)
  return (
    <Panel
      name="api-tokens"
      title="API tokens"
      aside={
        <button type="button" class="btn" onClick={() => (isAdding.value = true)}>
          + Create token
        </button>
      }
    >
      <Fault text={fault.value} />
      {created.value && (
        <p role="status">
          Copy it now, it is not shown again: <code class="revealed">{created.value}</code>
        </p>
      )}
      {valid?.length === 0 && <p class="dim empty">None. Clients without supervision and programs need one.</p>}
      <div class="rows">
        {valid?.map(({ id, name, role, created_at, expires_at }) => (
          <Row
            key={id}
            label={
              <>
                {name} <Tag tone={role === 'admin' ? 'warn' : 'info'}>{role}</Tag>
              </>
            }
          >
            <span class="dim">
              {expires_at ? `until ${expires_at.slice(0, 10)}` : `created ${ago(created_at, serverNow.value)}`}
            </span>{' '}
            <Action
              label="Revoke"
              title={`Revoke ${name}`}
              kind="ghost"
              confirm="Really revoke?"
              act={async () => {
                await send('DELETE', `/api/tokens/${id}`)
                await reload()
              }}
            />
          </Row>
        ))}
      </div>
      {isAdding.value && (
        <NewToken
          onClose={() => (isAdding.value = false)}
          onCreated={(token) => {
            created.value = token
            void reload()
          }}
        />
      )}
    </Panel>
  )
}

function NewToken({ onClose, onCreated }: { onClose: () => void; onCreated: (token: string) => void }) {
  const role = useSignal('agent')
  return (
    <Dialog
      title="Create an API token"
      submit="Create"
      onClose={onClose}
      act={async (form) => {
        const budget = form.get('budget_usd')
        const body = { name: form.get('name'), role: role.value, ...(budget ? { budget_usd: budget } : {}) }
        onCreated((await send<{ token: string }>('POST', '/api/tokens', body)).token)
      }}
    >
      <label>
        Name
        <input name="name" required autocomplete="off" />
      </label>
      <label>
        Role
        <select
          name="role"
          value={role.value}
          onChange={({ currentTarget }) => {
            role.value = currentTarget.value
          }}
        >
          <option value="agent">agent: makes calls within its budget</option>
          <option value="viewer">viewer: reads the API</option>
          <option value="admin">admin</option>
        </select>
      </label>
      {role.value === 'agent' && (
        <label>
          Budget in US dollars (100 if empty)
          <input name="budget_usd" inputMode="decimal" autocomplete="off" />
        </label>
      )}
    </Dialog>
  )
}
