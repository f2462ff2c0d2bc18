import { Hono } from 'hono'
import * as z from 'zod'
import { isoTime } from '../clock.ts'
import { CageError } from '../errors.ts'
import type { Level } from '../events.ts'
import type { Upstream } from '../gateway/upstream.ts'
import { toAgentId } from '../ids.ts'
import { readQuery } from './body.ts'
import type { Env, Guard } from './guard.ts'
import type { Rooms } from './rooms.ts'
import { requester } from './secrets.ts'

/** Events and the current state: snapshot, events, circuits, alerts, incidents. */
export function stateRoutes(
  rooms: Pick<Rooms, 'state' | 'store' | 'gateway' | 'alerts' | 'secrets' | 'money'>,
  guard: Guard,
): Hono<Env> {
  const { state, store, alerts, money } = rooms
  const { circuits, upstream } = rooms.gateway
  const { vault } = rooms.secrets
  const incidents = store.incidents
  return new Hono<Env>()
    .get('/snapshot', guard('viewer'), (context) => {
      const snapshot = state.read()
      return context.json({ seq: snapshot.seq, server_time: isoTime(state.now()), snapshot })
    })
    .get('/events', guard('viewer'), async (context) => {
      const { agent_id: agentId, ...query } = readQuery(context, EVENTS)
      const events = await state.searchEvents({ ...query, agentId })
      return context.json({ events, next: events.length === query.limit ? events.at(-1)!.seq : null })
    })
    .get('/circuits', guard('viewer'), (context) => context.json({ circuits: Object.values(state.read().circuits) }))
    .post('/circuits/:name/reset', guard('admin', 'circuit.reset'), (context) => {
      const name = context.req.param('name')
      circuits.reset(name, context.get('identity').name)
      // A circuit that was never used is not in the snapshot.
      return context.json(state.read().circuits[name] ?? { name, state: 'closed' })
    })
    .post('/circuits/:name/open', guard('admin', 'circuit.open'), (context) => {
      const name = context.req.param('name')
      circuits.open(name, context.get('identity').name)
      return context.json(state.read().circuits[name])
    })
    .get('/models', guard('viewer'), (context) => context.json({ models: money.trust.list() }))
    .post('/models/:name/trust', guard('admin', 'model.trust'), (context) => {
      const name = context.req.param('name')
      return context.json(money.trust.trust(name, addressOf(upstream, name), context.get('identity').name))
    })
    .get('/alerts', guard('viewer'), (context) => context.json({ alerts: state.read().alerts }))
    .post('/alerts/test', guard('admin', 'alert.test'), (context) => {
      const { alertId: alert_id, channels } = alerts.test(context.get('identity').name)
      return context.json({ alert_id, channels }, 201)
    })
    .post('/alerts/:id/resend', guard('admin', 'alert.resend'), (context) =>
      context.json({ resent: alerts.resend(context.req.param('id')) }),
    )
    .post('/alerts/:id/ack', guard('admin', 'alert.acknowledge'), (context) => {
      alerts.acknowledge(context.req.param('id'), context.get('identity').name)
      return context.body(null, 204)
    })
    .get('/pii/incidents', guard('viewer'), (context) => {
      const { agent_id: agentId, limit } = readQuery(context, INCIDENTS)
      return context.json({ incidents: incidents.find({ agentId, limit }) })
    })
    .get('/pii/incidents/:id/original', guard('admin'), (context) => {
      const id = context.req.param('id')
      const sealed = incidents.findOriginal(id)
      if (!sealed) throw noOriginal(id, sealed === null)
      return context.json({ id, original: vault.openOriginal(id, sealed, requester(context.get('identity'))) })
    })
}

/** The circuit of the provider in "provider/model". Throws CageError `not_found`. */
function addressOf(upstream: Upstream, name: string): string {
  const [provider] = name.split('/', 1)
  const known = upstream.find(provider!)
  if (known) return known.baseUrl.href
  throw new CageError('not_found', `there is no provider "${provider}"`, {
    facts: { provider },
    hint: 'list models with "iron-cage models list", and providers with "iron-cage config show"',
  })
}

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

export const EVENTS = z.object({
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

export const INCIDENTS = z.object({
  agent_id: z.string().transform(toAgentId).optional(),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
})
