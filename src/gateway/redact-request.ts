/**
 * What leaves for a provider, redacted before it is priced and sent, when the policy covers requests: every text of the
 * body, the query and the headers, in metered and unmetered calls alike.
 */
import type { Json, JsonObject } from '../dialects/json.ts'
import { type Leaf, TextWalk } from '../dialects/texts.ts'
import { PiiBlockedError } from '../errors.ts'
import type { PiiType } from '../events.ts'
import { Findings } from '../redaction/findings.ts'
import { redactJoined } from '../redaction/joined.ts'
import type { Finding } from '../redaction/match.ts'
import type { LlmCall } from './call.ts'
import { failClosed, NO_INCIDENTS, type RedactedCall, type RedactionParts, type WalkParts } from './call-redactor.ts'
import type { Provider } from './provider.ts'
import { RedactAhead } from './redact-large.ts'

/** The part of a request that its client wrote. */
export interface Outgoing {
  /** Path and query. */
  path: string
  headers: Record<string, string>
  body: JsonObject | undefined
}

/** The call without what the policy takes out. Throws PiiBlockedError, CageError `redaction_failed`: nothing is sent then. */
export async function redactRequest(parts: RedactionParts, call: LlmCall): Promise<LlmCall> {
  const { path, headers, body } = await redactOutgoing(parts, call, call.provider, call, call.isLarge)
  return { ...call, path, headers, body: body! }
}

/** The same for what is no metered call. `isLarge`: in slices, so that nobody else waits. */
export async function redactOutgoing(
  parts: WalkParts,
  call: RedactedCall,
  provider: Provider,
  outgoing: Outgoing,
  isLarge: boolean,
): Promise<Outgoing> {
  if (!isLarge) return redactNow(parts, call, provider, outgoing)
  const redactor = new RedactAhead(parts.redactor)
  redactNow({ redactor, incidents: NO_INCIDENTS }, call, provider, outgoing)
  await redactor.work()
  return redactNow({ ...parts, redactor }, call, provider, outgoing)
}

function redactNow(
  { redactor, incidents }: WalkParts,
  { id: callId, caller: { agentId } }: RedactedCall,
  { dialect }: Provider,
  { path, headers, body }: Outgoing,
): Outgoing {
  if (!redactor.covers('requests')) return { path, headers, body }
  const blocked = new Set<PiiType>()
  const found = new Findings()
  const note = (findings: readonly Finding[]) => {
    for (const { action, type } of findings) if (action === 'block') blocked.add(type)
    found.add(incidents.newInRequest(findings, agentId))
  }
  const text = (said: string, leaf?: Leaf): string => {
    const { text: safe, findings } =
      leaf?.kind === 'blob' ? redactor.redactKnown(said) : redactor.redact(said, leaf?.label)
    note(findings)
    return safe
  }
  const walk = new TextWalk(
    { ...dialect.fields, signed: dialect.signed },
    {
      text,
      joined(parts) {
        const joined = redactJoined(redactor, parts)
        note(joined?.findings ?? [])
        return joined?.parts
      },
    },
  )
  const safe = failClosed(
    () => ({
      path: redactQuery(path, text),
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, text(value)])),
      body: body && (walk.change<Json>(body) as JsonObject),
    }),
    'the request',
  )
  incidents.recordAll(found, { agentId, callId, place: 'request' })
  if (blocked.size > 0) throw new PiiBlockedError([...blocked], 'request')
  return safe
}

/** A query is written as it was, unless something in it is taken out. */
function redactQuery(pathAndQuery: string, redact: (text: string) => string): string {
  const at = pathAndQuery.indexOf('?')
  if (at < 0) return pathAndQuery
  const query = [...new URLSearchParams(pathAndQuery.slice(at + 1))]
  const safe = query.map(([name, value]) => [redact(name), redact(value)])
  const isChanged = safe.some(([name, value], index) => name !== query[index]![0] || value !== query[index]![1])
  return isChanged ? `${pathAndQuery.slice(0, at)}?${new URLSearchParams(safe as [string, string][])}` : pathAndQuery
}
