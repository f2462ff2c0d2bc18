/**
 * Redacts a request before it is priced, when the policy covers requests: every text of the body, the query and the
 * headers, in metered and unmetered calls alike.
 */
import type { Incidents } from '../../redaction/incidents.ts'
import type { Redactor } from '../../redaction/redactor.ts'
import type { RequestBody } from '../bodies/request-body.ts'
import type { LlmCall } from '../call.ts'
import type { Provider } from '../provider/provider.ts'
import type { RedactedCall } from './call-findings.ts'
import { type CallRedaction, CallRedactor } from './call-redactor.ts'

/** The parts of a request that its client wrote. */
export interface Outgoing {
  /** Path and query. */
  path: string
  headers: Record<string, string>
  body: RequestBody | undefined
}

/** Returns the redacted call. Throws PiiBlockedError, CageError `redaction_failed`: then nothing is sent. */
export async function redactRequest(redaction: RequestRedaction, call: LlmCall): Promise<LlmCall> {
  const { path, headers, body } = await redactOutgoing(redaction, call, call.provider, call)
  return { ...call, path, headers, body: body! }
}

export interface RequestRedaction extends CallRedaction {
  redactor: Redactor
  incidents: Incidents
}

/** Like `redactRequest`, for an unmetered call. */
export async function redactOutgoing(
  redaction: RequestRedaction,
  call: RedactedCall,
  { dialect }: Provider,
  { path, headers, body }: Outgoing,
): Promise<Outgoing> {
  if (!redaction.redactor.covers('requests')) return { path, headers, body }
  const redactor = new CallRedactor(redaction, call, 'request')
  const text = (value: string) => redactor.whole(value, 'reply')
  const safe = {
    path: redactQuery(path, text),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, text(value)])),
    body: await body?.redacted(redactor, dialect, redaction.redactor.settings),
  }
  redactor.judge()
  return safe
}

/** The query stays as written, unless something in it is redacted. */
function redactQuery(pathAndQuery: string, redact: (text: string) => string): string {
  const at = pathAndQuery.indexOf('?')
  if (at < 0) return pathAndQuery
  const query = [...new URLSearchParams(pathAndQuery.slice(at + 1))]
  const safe = query.map(([name, value]) => [redact(name), redact(value)])
  const isChanged = safe.some(([name, value], index) => name !== query[index]![0] || value !== query[index]![1])
  return isChanged ? `${pathAndQuery.slice(0, at)}?${new URLSearchParams(safe as [string, string][])}` : pathAndQuery
}
