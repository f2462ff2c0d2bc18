import { type Context, Hono } from 'hono'
import * as z from 'zod'
import type { Identity } from '../access/roles.ts'
import type { Audit } from '../audit/chain.ts'
import { CageError } from '../errors.ts'
import { assertNoPii } from '../redaction/redactor.ts'
import type { Rotation } from '../vault/rotation.ts'
import type { SecretView } from '../vault/secret.ts'
import type { Requester } from '../vault/secret-audit.ts'
import type { Vault } from '../vault/vault.ts'
import { readJson, readQuery } from './body.ts'
import { type Env, type Guard, who } from './guard.ts'
import type { Rooms } from './rooms.ts'
import { supervisedRunOf } from './run-secrets.ts'

interface AgentSecrets {
  vault: Vault
  /** The secrets that agents may have. */
  rotation: Pick<Rotation, 'isEntitled'>
}

type SecretRooms = Pick<Rooms, 'store' | 'audit' | 'safety'> & { secrets: AgentSecrets }

/**
 * Secrets. People see them masked; `GET /:id?reveal=true` → the same with `value`, for admins; with a run token it
 * returns the values of the run's own environment, without `reveal`.
 *
 * `GET /` {environment?, name?, deleted?: true} → {secrets, vault: {state, hint?}}. `POST /` {name, environment, value}
 * → 201, `PUT /:id` {value}, `POST /:id/roll-back`, `POST /:id/restore` → the secret; `DELETE /:id` → 204, can be
 * restored. `GET /audit` {secret_name?, before?, limit?: 100} → {entries, next}, newest first.
 */
export function secretRoutes(rooms: SecretRooms, guard: Guard): Hono<Env> {
  const { store, safety } = rooms
  const { vault, rotation } = rooms.secrets
  return new Hono<Env>()
    .get('/', guard('any'), (context) => {
      const { environment, name, deleted } = readQuery(context, SECRET_LIST)
      const isVisible = visibleTo(context, rotation)
      const secrets = vault
        .list({ environment, deleted: deleted === 'true' })
        .filter((secret) => (name === undefined || secret.name === name) && isVisible(secret))
      return context.json({ secrets, vault: vault.state })
    })
    .post('/', guard('admin'), async (context) => {
      const secret = await readJson(context, NEW_SECRET)
      assertNoPii(secret.name, safety.logs)
      return context.json(await vault.create(secret, requesterOf(context)), 201)
    })
    .get('/audit', guard('viewer'), (context) => {
      const { secret_name: secretName, before, limit } = readQuery(context, SECRET_AUDIT)
      const entries = store.secrets.audit({ secretName, before, limit })
      return context.json({ entries, next: entries.length === limit ? entries.at(-1)!.id : null })
    })
    .get('/:id', guard('any'), async (context) => {
      const isVisible = visibleTo(context, rotation)
      const secret = vault.get(context.req.param('id'))
      const { role } = context.get('identity')
      const { reveal } = readQuery(context, SECRET_REVEAL)
      if (!isVisible(secret)) throw notEntitled(secret)
      if (role !== 'agent' && reveal !== 'true') return context.json(secret)
      if (role === 'viewer') throw refused(rooms.audit, requesterOf(context), secret)
      const value = await vault.reveal(secret.id, requesterOf(context))
      return context.json({ ...vault.get(secret.id), value })
    })
    .put('/:id', guard('admin'), async (context) => {
      const { value } = await readJson(context, NEW_VALUE)
      return context.json(await vault.update(context.req.param('id'), value, requesterOf(context)))
    })
    .post('/:id/roll-back', guard('admin'), async (context) =>
      context.json(await vault.rollBack(context.req.param('id'), requesterOf(context))),
    )
    .post('/:id/restore', guard('admin'), async (context) =>
      context.json(await vault.restore(context.req.param('id'), requesterOf(context))),
    )
    .delete('/:id', guard('admin'), async (context) => {
      await vault.delete(context.req.param('id'), requesterOf(context))
      return context.body(null, 204)
    })
}

const requesterOf = (context: Context<Env>): Requester => requester(context.get('identity'))

/** The requester, as the vault's audit records it. */
export const requester = (identity: Identity): Requester => ({
  ...who(identity),
  agentId: identity.role === 'agent' ? identity.run.agentId : null,
})

/** People see every name; an agent only those it may have. */
function visibleTo(context: Context<Env>, rotation: AgentSecrets['rotation']): (secret: SecretView) => boolean {
  if (context.get('identity').role !== 'agent') return () => true
  const runId = supervisedRunOf(context)
  return (secret) => rotation.isEntitled(runId, secret)
}

/** Failed attempts are in the audit, like successful ones. */
function refused(audit: Audit, { role, actor }: Requester, { name, environment }: SecretView): CageError {
  const error = new CageError('forbidden', `only an admin can read ${name}, and ${actor} is not one`)
  const details = { environment, success: false, error: error.message }
  audit.append({ role, actor, action: 'secret.read', target: name, details })
  return error
}

const notEntitled = ({ id }: SecretView): CageError =>
  new CageError('not_found', `there is no secret "${id}" for this agent`, {
    hint: 'an agent gets the secrets of its own environment, except the keys that it is shielded from',
  })

const environment = z.enum(['development', 'staging', 'production'])
const flag = z.enum(['true', 'false']).optional()
export const SECRET_LIST = z.object({ environment: environment.optional(), name: z.string().optional(), deleted: flag })
export const SECRET_REVEAL = z.object({ reveal: flag })
export const NEW_SECRET = z.strictObject({ name: z.string(), environment, value: z.string() })
export const NEW_VALUE = z.strictObject({ value: z.string() })
export const SECRET_AUDIT = z.object({
  secret_name: z.string().optional(),
  before: z
    .string()
    .regex(/^sal-\d{1,15}$/)
    .optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
