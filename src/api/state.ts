/** The current state, events and incidents. */
import * as z from 'zod'
import { isoTime } from '../core/clock.ts'
import { CageError } from '../core/errors.ts'
import type { Level, SecretListed } from '../core/events.ts'
import { toAgentId } from '../core/ids.ts'
import type { IncidentRow } from '../db/tables/incidents.ts'
import { count, named, type Route, routesOf, type Shape, time, usd } from '../http/route.ts'
import type { Snapshot } from '../state/snapshot.ts'
import type { Deps } from './deps.ts'
import { requester } from './secrets.ts'
import { agentView, alertView, budgetView, circuitView, eventView } from './views.ts'

type OriginalDeps = Pick<Deps, 'store'> & { secrets: Pick<Deps['secrets'], 'vault'> }

const route = routesOf('State')

export const stateRoutes = ({ state, store }: Pick<Deps, 'state' | 'store'>): Route[] => [
  route('GET /api/snapshot', {
    role: 'viewer',
    summary: 'Returns everything that the dashboard shows.',
    reply: () =>
      z.object({
        seq: count().describe('Number of the last event it includes.'),
        server_time: time(),
        snapshot: snapshotView(),
      }),
    handle: () => {
      const snapshot = state.read()
      return { seq: snapshot.seq, server_time: isoTime(state.now()), snapshot }
    },
  }),
  route('GET /api/events', {
    role: 'viewer',
    summary: 'Lists events, newest first; with `after`, oldest first.',
    query: EVENTS,
    reply: () =>
      z.object({
        events: z.array(eventView()),
        next: count().nullable().describe('`before` or `after` of the next page; null at the end.'),
      }),
    handle: async ({ query: { agent_id: agentId, ...query } }) => {
      const events = await state.searchEvents({ ...query, agentId })
      return { events, next: events.length === query.limit ? events.at(-1)!.seq : null }
    },
  }),
  route('GET /api/pii/incidents', {
    role: 'viewer',
    summary: 'Lists incidents, newest first.',
    query: INCIDENTS,
    reply: () => z.object({ incidents: z.array(incident()) }),
    handle: ({ query: { agent_id: agentId, limit } }) => ({ incidents: store.incidents.find({ agentId, limit }) }),
  }),
]

/** The detected values, which the vault keeps. */
export const originalRoutes = ({ store, secrets: { vault } }: OriginalDeps): Route[] => [
  route('GET /api/pii/incidents/:id/original', {
    role: 'admin',
    summary: 'Returns the detected value, if it was kept. The request is written to the audit log.',
    reply: () => z.object({ id: z.string(), original: z.string().describe('Detected value.') }),
    errors: ['not_found', 'vault_locked', 'vault_broken'],
    handle: ({ params: { id }, identity }) => {
      const sealed = store.incidents.findOriginal(id)
      if (!sealed) throw noOriginal(id, sealed === null)
      return { id, original: vault.openOriginal(id, sealed, requester(identity)) }
    },
  }),
]

const secretListed = named('SecretListed', () =>
  z.object({
    id: z.string(),
    name: z.string(),
    environment: z.string(),
    version: count(),
    masked: z.string(),
    created_at: time(),
    updated_at: time(),
    rotated_at: time().nullable(),
    deleted_at: time().nullable(),
  } satisfies Shape<SecretListed>),
)

const snapshotView = named('Snapshot', () =>
  z.object({
    seq: count(),
    at: time().nullable(),
    server: z.object({ version: z.string(), url: z.string(), started_at: time() }).nullable(),
    server_budget: budgetView().nullable().describe('Of all agents together; null without a limit.'),
    run_limit_usd: usd().nullable().describe('Of each run; null without a limit.'),
    agents: z.record(z.string(), agentView()).describe('By id, oldest first.'),
    circuits: z.record(z.string(), circuitView()).describe('By name.'),
    alerts: z.array(alertView()).describe('Newest first.'),
    vault: z.object({ state: z.enum(['open', 'locked']), hint: z.string().nullable() }),
    secrets: z.record(z.string(), secretListed()).describe('By id.'),
    recent: z.array(eventView()).describe('The last events, oldest first.'),
  } satisfies Shape<Snapshot>),
)

const incident = named('Incident', () =>
  z.object({
    id: z.string(),
    at: time(),
    agent_id: z.string(),
    call_id: z.string().nullable(),
    type: z.string(),
    severity: z.enum(['CRITICAL', 'WARN']),
    action: z.enum(['redact', 'block', 'warn']),
    place: z.string(),
    value_hash: z.string(),
    start: count(),
    end: count(),
    original: z.enum(['not_kept', 'sealed']),
  } satisfies Shape<IncidentRow>),
)

const noOriginal = (id: string, isKnown: boolean): CageError =>
  isKnown
    ? new CageError(
        'not_found',
        `the original of ${id} was not stored: the vault was locked, or it was a secret of Iron Cage itself`,
        {
          hint: 'originals are stored while the vault is open',
        },
      )
    : new CageError('not_found', `there is no incident "${id}"`, { hint: 'list them with "iron-cage incidents"' })

const seq = z.coerce.number().int().min(0)
const LEVELS = ['DEBUG', 'INFO', 'OK', 'WARN', 'ERROR', 'CRIT'] as const satisfies Level[]

const EVENTS = z.object({
  after: seq.optional(),
  before: seq.optional(),
  agent_id: z.string().transform(toAgentId).optional(),
  level: z
    .string()
    .transform((text) => text.split(','))
    .pipe(z.array(z.enum(LEVELS)))
    .optional()
    .describe(`One or several of ${LEVELS.join(', ')}, separated by commas.`),
  type: z.string().optional().describe('Such as "budget.warned".'),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})

const INCIDENTS = z.object({
  agent_id: z.string().transform(toAgentId).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
