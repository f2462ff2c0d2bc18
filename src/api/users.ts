import * as z from 'zod'
import { who } from '../http/guard.ts'
import { type Route, routesOf } from '../http/route.ts'
import { NEW_USER, USER_CHANGE, userView } from '../http/shared-shapes.ts'
import { assertNoPii } from '../redaction/redactor.ts'
import type { Deps } from './deps.ts'

const route = routesOf('Access')

/** People who sign in, for admins. `:id` may also be the name. Every change ends the person's sessions. */
export const userRoutes = ({
  access: { users },
  audit,
  safety,
}: Pick<Deps, 'access' | 'audit' | 'safety'>): Route[] => [
  route('GET /api/users', {
    role: 'admin',
    summary: 'Lists users.',
    reply: () => z.object({ users: z.array(userView()) }),
    handle: () => ({ users: users.list() }),
  }),
  route('POST /api/users', {
    role: 'admin',
    action: 'user.create',
    summary: 'Creates a user.',
    body: NEW_USER,
    reply: userView,
    statuses: [201],
    errors: ['conflict', 'too_many_attempts'],
    handle: async ({ body, identity }) => {
      assertNoPii(body.username, safety.logs)
      const user = await users.add(body)
      const { id, username, role } = user
      audit.append({ ...who(identity), action: 'user.created', target: id, details: { username, role } })
      return user
    },
  }),
  route('PATCH /api/users/:id', {
    role: 'admin',
    action: 'user.change',
    summary: "Changes a user's role, password or both, and ends the user's sessions.",
    body: USER_CHANGE,
    reply: userView,
    errors: ['not_found', 'too_many_attempts'],
    handle: async ({ params, body: { role, password }, identity }) => {
      const { id, username, role: before } = users.get(params.id)
      // Whatever can be refused comes first.
      if (password !== undefined) await users.changePassword(id, password)
      if (role !== undefined) users.changeRole(id, role)
      const user = users.get(id)
      const details = { username, role_before: before, role: user.role, password_changed: password !== undefined }
      audit.append({ ...who(identity), action: 'user.changed', target: id, details })
      return user
    },
  }),
  route('DELETE /api/users/:id', {
    role: 'admin',
    action: 'user.remove',
    summary: 'Deletes a user.',
    reply: null,
    errors: ['not_found'],
    handle: ({ params }) => users.remove(params.id),
  }),
]
