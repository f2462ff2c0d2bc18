import * as z from 'zod'
import type { User } from '../access/users.ts'
import { assertNoPii } from '../redaction/redactor.ts'
import { who } from './guard.ts'
import type { Rooms } from './rooms.ts'
import { named, type Route, routesOf, type Shape, time } from './route.ts'

const route = routesOf('Access')

/** People who sign in, for admins. `:id` may also be the name. Every change ends the person's sessions. */
export const userRoutes = ({
  access: { users },
  audit,
  safety,
}: Pick<Rooms, 'access' | 'audit' | 'safety'>): Route[] => [
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

export const userView = named('User', () =>
  z.object({
    id: z.string(),
    username: z.string(),
    role: z.enum(['admin', 'viewer']),
    created_at: time(),
    password_changed_at: time(),
  } satisfies Shape<User>),
)

const role = z.enum(['admin', 'viewer'])
/** Users of a Control Panel may have an address: there these schemas are extended. */
const NO_EMAIL: z.core.$ZodErrorMap = (issue) =>
  issue.code === 'unrecognized_keys' && (issue.keys as string[]).includes('email')
    ? 'users of a server sign in with a password and have no e-mail address; for one on a Control Panel set IRON_CAGE_URL to it'
    : undefined

export const NEW_USER = z.strictObject(
  { username: z.string().max(80), password: z.string(), role: role.default('viewer') },
  { error: NO_EMAIL },
)
export const USER_CHANGE = z
  .strictObject({ role: role.optional(), password: z.string().optional() }, { error: NO_EMAIL })
  .refine(({ role, password }) => role !== undefined || password !== undefined, {
    error: 'expected { "role": "viewer" } or { "password": "…" }',
    // One reason is enough.
    when: ({ issues }) => issues.length === 0,
  })
