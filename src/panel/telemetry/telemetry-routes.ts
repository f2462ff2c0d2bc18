/** For runtimes: what happened there. */

import * as z from 'zod'
import type { RuntimeEvent } from '../../core/events.ts'
import { count, type Route, routesOf, time } from '../../http/route.ts'
import type { Member, PanelRole } from '../access/credentials.ts'
import { storable } from '../storable.ts'
import type { PanelTelemetry } from './telemetry.ts'

/** Events of one batch. */
const MAX_EVENTS = 1_000

/** Past events cannot be corrected and sent again: of these texts, what cannot be stored is replaced. */
const telemetryRoute = routesOf<Member, PanelRole>('Leases')
const text = (max: number) => z.string().max(max).transform(storable)

const event = z.object({
  seq: count(),
  at: time().max(40),
  agent_id: text(200).nullable(),
  level: z.enum(['DEBUG', 'INFO', 'OK', 'WARN', 'ERROR', 'CRIT']),
  type: text(100),
  message: z.string().transform(storable),
  data: z.record(z.string(), z.unknown()),
})

export const telemetryRoutes = ({ telemetry }: { telemetry: PanelTelemetry }): Route<PanelRole>[] => [
  telemetryRoute('POST /api/telemetry', {
    role: 'runtime',
    summary: 'Takes events of a runtime. An event that is sent again is stored once; the reply says where to continue.',
    body: z.strictObject({
      journal_id: z.string().min(1).max(200).transform(storable),
      after: count(),
      through: count(),
      lost: z.strictObject({ from: count(), to: count() }).nullable(),
      events: z.array(event).max(MAX_EVENTS),
    }),
    reply: () => z.object({ acked_seq: count() }),
    errors: ['runtime_revoked'],
    handle: ({ body: { events, ...batch }, identity }) =>
      // The content of an event concerns its readers, and versions differ.
      telemetry.take(identity.organizationId, identity.id, { ...batch, events: events as unknown as RuntimeEvent[] }),
  }),
]
