/** Tokens of programs and clients, of a server or of an organization, for admins. */
import { useSignal } from '@preact/signals'
import { Dialog } from '../parts/dialog.tsx'
import { ago, Fault, Panel } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import { serverNow } from '../store.ts'
import { AccessRow } from './access-row.tsx'

interface TokenHelp {
  agentHelp: string
  budgetHelp: string
}

interface ApiToken {
  id: string
  name: string
  role: 'admin' | 'viewer' | 'agent'
  created_at: string
  expires_at: string | null
  revoked_at: string | null
}

/** `agentHelp`: the use of a token of the role agent, `budgetHelp`: what happens without a budget. */
export function TokensPanel({ agentHelp, budgetHelp }: TokenHelp) {
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
          <AccessRow
            key={id}
            name={name}
            role={role}
            since={expires_at ? `until ${expires_at.slice(0, 10)}` : `created ${ago(created_at, serverNow.value)}`}
            end="Revoke"
            path={`/api/tokens/${id}`}
            onEnded={reload}
          />
        ))}
      </div>
      {isAdding.value && (
        <NewToken
          agentHelp={agentHelp}
          budgetHelp={budgetHelp}
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

function NewToken({
  agentHelp,
  budgetHelp,
  onClose,
  onCreated,
}: TokenHelp & {
  onClose: () => void
  onCreated: (token: string) => void
}) {
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
          <option value="agent">agent: {agentHelp}</option>
          <option value="viewer">viewer: reads the API</option>
          <option value="admin">admin</option>
        </select>
      </label>
      {role.value === 'agent' && (
        <label>
          Budget in US dollars ({budgetHelp} if empty)
          <input name="budget_usd" inputMode="decimal" autocomplete="off" />
        </label>
      )}
    </Dialog>
  )
}
