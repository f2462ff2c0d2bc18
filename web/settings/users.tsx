/** People who sign in, of a server or of an organization, for admins. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { Dialog } from '../parts/dialog.tsx'
import { Action, ago, Fault, Panel, Row, Tag } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import { serverNow } from '../store.ts'

interface User {
  id: string
  username: string
  role: 'admin' | 'viewer'
  created_at: string
  /** With which the person signs in at an identity provider. */
  email?: string | null
}

/** `provider`: where people may sign in without a password. (Default: nowhere.) `about`: more of each. (Default: nothing.) */
export function UsersPanel({
  provider,
  about,
}: {
  provider?: string | null | undefined
  about?: ((user: User) => ComponentChildren) | null
}) {
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
        {value.value?.users.map((user) => {
          const { id, username, role, created_at, email } = user
          return (
            <Row
              key={id}
              label={
                <>
                  {username} <Tag tone={role === 'admin' ? 'warn' : 'info'}>{role}</Tag> {about?.(user)}
                  {email && <div class="dim">{email}</div>}
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
          )
        })}
      </div>
      {isAdding.value && (
        <Dialog
          title="Add a user"
          submit="Add"
          onClose={() => (isAdding.value = false)}
          act={async (form) => {
            await send('POST', '/api/users', Object.fromEntries([...form].filter(([, text]) => text !== '')))
            await reload()
          }}
        >
          <label>
            User name
            <input name="username" required autocomplete="off" spellcheck={false} />
          </label>
          <label>
            Password
            <input name="password" type="password" required={!provider} autocomplete="new-password" />
          </label>
          {provider && (
            <label>
              E-mail, to sign in at {provider}
              <input name="email" type="email" autocomplete="off" />
            </label>
          )}
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
