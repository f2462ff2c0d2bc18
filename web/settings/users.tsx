/** People who sign in, of a server or of an organization, for admins. */
import { useSignal } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { Dialog } from '../parts/dialog.tsx'
import { ago, Fault, Panel } from '../parts/parts.tsx'
import { useLoaded } from '../parts/use-loaded.ts'
import { send } from '../session.ts'
import { serverNow } from '../store.ts'
import { AccessRow } from './access-row.tsx'

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
        {value.value?.users.map((user) => (
          <AccessRow
            key={user.id}
            name={user.username}
            role={user.role}
            about={
              <>
                {about?.(user)}
                {user.email && <div class="dim">{user.email}</div>}
              </>
            }
            since={`added ${ago(user.created_at, serverNow.value)}`}
            end="Remove"
            path={`/api/users/${user.id}`}
            onEnded={reload}
          />
        ))}
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
