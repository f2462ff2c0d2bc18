import { Hono } from 'hono'
import * as z from 'zod'
import { assertNoPii } from '../redaction/redactor.ts'
import { readJson } from './body.ts'
import { type Env, type Guard, who } from './guard.ts'
import type { Rooms } from './rooms.ts'

/**
 * People who sign in, for admins. `:id` may also be the name. `POST /` {username, password, role?: "viewer"} → 201,
 * `PATCH /:id` {role?, password?}: both end the person's sessions, as `DELETE /:id` does.
 */
export function userRoutes(
  { access: { users }, audit, safety }: Pick<Rooms, 'access' | 'audit' | 'safety'>,
  guard: Guard,
): Hono<Env> {
  return new Hono<Env>()
    .get('/', guard('admin'), (context) => context.json({ users: users.list() }))
    .post('/', guard('admin', 'user.create'), async (context) => {
      const body = await readJson(context, NEW_USER)
      assertNoPii(body.username, safety.logs)
      const user = await users.add(body)
      const { id, username, role } = user
      audit.append({
        ...who(context.get('identity')),
        action: 'user.created',
        target: id,
        details: { username, role },
      })
      return context.json(user, 201)
    })
    .patch('/:id', guard('admin', 'user.change'), async (context) => {
      const { role, password } = await readJson(context, USER_CHANGE)
      const { id, username, role: before } = users.get(context.req.param('id'))
      // Whatever can be refused comes first.
      if (password !== undefined) await users.changePassword(id, password)
      if (role !== undefined) users.changeRole(id, role)
      const user = users.get(id)
      const details = { username, role_before: before, role: user.role, password_changed: password !== undefined }
      audit.append({ ...who(context.get('identity')), action: 'user.changed', target: id, details })
      return context.json(user)
    })
    .delete('/:id', guard('admin', 'user.remove'), (context) => {
      users.remove(context.req.param('id'))
      return context.body(null, 204)
    })
}

const role = z.enum(['admin', 'viewer'])
export const NEW_USER = z.strictObject({
  username: z.string().max(80),
  password: z.string(),
  role: role.default('viewer'),
})
export const USER_CHANGE = z
  .strictObject({ role: role.optional(), password: z.string().optional() })
  .refine(({ role, password }) => role !== undefined || password !== undefined, {
    error: 'expected { "role": "viewer" } or { "password": "…" }',
  })
