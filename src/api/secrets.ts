import * as z from 'zod'
import type { Identity } from '../access/roles.ts'
import type { Audit } from '../audit/chain.ts'
import { ENVIRONMENTS } from '../config/environments.ts'
import { CageError } from '../core/errors.ts'
import type { SecretAuditRow } from '../db/tables/secrets.ts'
import { who } from '../http/guard.ts'
import { count, named, type Route, routesOf, type Shape, time } from '../http/route.ts'
import { assertNoPii } from '../redaction/redactor.ts'
import type { CentralSecrets } from '../vault/central-secrets.ts'
import type { Rotation } from '../vault/rotation.ts'
import type { SecretView } from '../vault/secret.ts'
import type { Requester } from '../vault/secret-audit.ts'
import type { Vault } from '../vault/vault.ts'
import type { Deps } from './deps.ts'
import { supervisedRunOf } from './run/run-secrets.ts'

interface AgentSecrets {
  vault: Vault
  central: Pick<CentralSecrets, 'list'>
  /** The secrets that agents may have. */
  rotation: Pick<Rotation, 'isEntitled'>
}

export type SecretDeps = Pick<Deps, 'store' | 'audit' | 'safety'> & { secrets: AgentSecrets }

const secretView = named('Secret', () =>
  z.object({
    id: z.string(),
    name: z.string().describe('Also the name of the environment variable in agents.'),
    environment: z.string().describe('Its agents get the secret.'),
    masked: z.string().describe('First and last characters of the value.'),
    version: count(),
    created_at: time(),
    updated_at: time(),
    rotated_at: time().nullable(),
    deleted_at: time().nullable(),
  } satisfies Shape<SecretView>),
)

const secretAuditEntry = named('SecretAuditEntry', () =>
  z.object({
    id: z.string(),
    secret_name: z.string(),
    operation: z.string(),
    requester_role: z.string(),
    agent_id: z.string().nullable(),
    success: z.boolean(),
    error_message: z.string().nullable(),
    timestamp: time(),
  } satisfies Shape<SecretAuditRow>),
)

const route = routesOf('Secrets')

export function secretRoutes({ store, audit, safety, secrets: { vault, central, rotation } }: SecretDeps): Route[] {
  return [
    route('GET /api/secrets', {
      role: 'any',
      summary: 'Lists masked secrets; for an agent, only its own.',
      query: z.object({ environment: environment.optional(), name: z.string().optional(), deleted: flag }),
      reply: () =>
        z.object({
          secrets: z.array(
            secretView().extend({
              origin: z.enum(['vault', 'panel']).describe("This machine's vault, or the Control Panel."),
              agent: z.string().nullable().describe('The name of the agents that get it; null for all.'),
            }),
          ),
          vault: z.union([
            z.object({ state: z.literal('open') }),
            z.object({ state: z.literal('locked'), why: z.string(), message: z.string(), hint: z.string() }),
          ]),
        }),
      handle: ({ query: { environment, name, deleted }, identity }) => {
        const isVisible = visibleTo(identity, rotation)
        const isAsked = (secret: SecretView) => (name === undefined || secret.name === name) && isVisible(secret)
        const own = vault.list({ environment, deleted: deleted === 'true' }).filter(isAsked)
        const given = identity.role === 'agent' ? [] : central.list({ environment }).filter(isAsked)
        return {
          secrets: [
            ...own.map((secret) => ({ ...secret, origin: 'vault' as const, agent: null })),
            ...given.map((secret) => ({ ...secret, origin: 'panel' as const })),
          ],
          vault: vault.state,
        }
      },
    }),
    route('POST /api/secrets', {
      role: 'admin',
      summary: 'Adds a secret.',
      body: z.strictObject({ name: z.string(), environment, value: z.string() }),
      reply: secretView,
      statuses: [201],
      errors: ['vault_locked', 'conflict'],
      handle: ({ body, identity }) => {
        assertNoPii(body.name, safety.logs)
        return vault.create(body, requester(identity))
      },
    }),
    route('GET /api/secrets/audit', {
      role: 'viewer',
      summary: 'Lists accesses to secrets and changes of them, newest first.',
      query: SECRET_AUDIT,
      reply: () =>
        z.object({
          entries: z.array(secretAuditEntry()),
          next: z.string().nullable().describe('`before` of the next page; null at the end.'),
        }),
      handle: ({ query: { secret_name: secretName, before, limit } }) => {
        const entries = store.secrets.audit({ secretName, before, limit })
        return { entries, next: entries.length === limit ? entries.at(-1)!.id : null }
      },
    }),
    route('GET /api/secrets/:id', {
      role: 'any',
      summary: 'Returns a secret: masked, or with its value for agents and for admins with `reveal`.',
      query: z.object({ reveal: flag }),
      reply: () => secretView().extend({ value: z.string().optional().describe('If revealed.') }),
      errors: ['not_found', 'vault_locked', 'vault_broken'],
      handle: async ({ params, query, identity }) => {
        const isVisible = visibleTo(identity, rotation)
        const secret = vault.get(params.id)
        if (!isVisible(secret)) throw notEntitled(secret)
        if (identity.role !== 'agent' && query.reveal !== 'true') return secret
        if (identity.role === 'viewer') throw refused(audit, requester(identity), secret)
        const value = await vault.reveal(secret.id, requester(identity))
        return { ...vault.get(secret.id), value }
      },
    }),
    ...changeRoutes(vault),
  ]
}

const CHANGE_ERRORS = ['not_found', 'vault_locked', 'vault_broken', 'conflict'] as const

const changeRoutes = (vault: Vault): Route[] => [
  route('PUT /api/secrets/:id', {
    role: 'admin',
    summary: 'Changes the value of a secret.',
    body: z.strictObject({ value: z.string() }),
    reply: secretView,
    errors: CHANGE_ERRORS,
    handle: ({ params, body, identity }) => vault.update(params.id, body.value, requester(identity)),
  }),
  route('POST /api/secrets/:id/roll-back', {
    role: 'admin',
    summary: 'Restores the previous value of a secret.',
    reply: secretView,
    errors: CHANGE_ERRORS,
    handle: ({ params, identity }) => vault.rollBack(params.id, requester(identity)),
  }),
  route('POST /api/secrets/:id/restore', {
    role: 'admin',
    summary: 'Restores a deleted secret.',
    reply: secretView,
    errors: CHANGE_ERRORS,
    handle: ({ params, identity }) => vault.restore(params.id, requester(identity)),
  }),
  route('DELETE /api/secrets/:id', {
    role: 'admin',
    summary: 'Deletes a secret. It can be restored.',
    reply: null,
    errors: CHANGE_ERRORS,
    handle: async ({ params, identity }) => {
      await vault.delete(params.id, requester(identity))
    },
  }),
]

/** The requester, as the vault's audit records it. */
export const requester = (identity: Identity): Requester => ({
  ...who(identity),
  agentId: identity.role === 'agent' ? identity.run.agentId : null,
})

/** People see every name; an agent only those it may have. */
function visibleTo(identity: Identity, rotation: AgentSecrets['rotation']): (secret: SecretView) => boolean {
  if (identity.role !== 'agent') return () => true
  const runId = supervisedRunOf(identity)
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

const environment = z.enum(ENVIRONMENTS)
const flag = z.enum(['true', 'false']).optional()
const SECRET_AUDIT = z.object({
  secret_name: z.string().optional(),
  before: z
    .string()
    .regex(/^sal-\d{1,15}$/)
    .optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
