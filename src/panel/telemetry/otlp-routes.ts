/** For programs on a machine that trace and measure themselves, and have no server there to send it to. */

import { CageError } from '../../core/errors.ts'
import { answerOtlp, METRICS, otlpDoc, readOtlp, TRACES } from '../../http/otlp.ts'
import { type Route, routesOf } from '../../http/route.ts'
import type { Member, PanelRole } from '../access/credentials.ts'
import type { OtlpForwarder } from './otlp-forwarder.ts'

const otlpRoute = routesOf<Member, PanelRole>('Leases')

const ERRORS = ['not_found', 'runtime_revoked', 'too_many_attempts', 'collector_unreachable'] as const

export const panelOtlpRoutes = ({ otlp }: { otlp: OtlpForwarder | undefined }): Route<PanelRole>[] => [
  otlpRoute('POST /v1/traces', {
    role: 'runtime',
    summary:
      "Takes traces of OpenTelemetry (OTLP) as protobuf or JSON, also with gzip, and sends them to the panel's collector as those of the runtime.",
    ...otlpDoc(TRACES),
    errors: [...otlpDoc(TRACES).errors, ...ERRORS],
    handle: ({ context, identity }) => {
      const forwarder = required(otlp)
      return forwarder.inTurn(identity, async () => {
        const received = await readOtlp(context, TRACES)
        await forwarder.sendSpans(identity, received.items)
        return answerOtlp(context, TRACES, received)
      })
    },
  }),
  otlpRoute('POST /v1/metrics', {
    role: 'runtime',
    summary: 'Takes metrics of OpenTelemetry likewise.',
    ...otlpDoc(METRICS),
    errors: [...otlpDoc(METRICS).errors, ...ERRORS],
    handle: ({ context, identity }) => {
      const forwarder = required(otlp)
      return forwarder.inTurn(identity, async () => {
        const received = await readOtlp(context, METRICS)
        await forwarder.sendPoints(identity, received.items)
        return answerOtlp(context, METRICS, received)
      })
    },
  }),
]

function required(otlp: OtlpForwarder | undefined): OtlpForwarder {
  if (otlp) return otlp
  throw new CageError('not_found', 'this Control Panel has no collector of OpenTelemetry', {
    hint: 'start it with OTEL_EXPORTER_OTLP_ENDPOINT, or send to a server of iron-cage',
  })
}
