/** Routes that cost nothing: lists of models, counting tokens, what the provider has stored. Redacted as calls are. */
import { LARGE_BYTES, parseAnyBody, writeLargeJson } from '../dialects/large-json.ts'
import { CageError } from '../errors.ts'
import { CallRedactor, type RedactionParts } from './call-redactor.ts'
import type { Client } from './client.ts'
import { type KeyParts, type KeyRequest, sendWithKey } from './provider-key.ts'
import { type Outgoing, redactOutgoing } from './redact-request.ts'
import { isStream, passedHeaders, readAll } from './reply.ts'
import type { UnchargedCalls } from './uncharged.ts'
import type { Answer, Attempt, Upstream } from './upstream.ts'
import { waitUntilRunnable } from './wait-until-runnable.ts'

export interface UnmeteredParts extends RedactionParts, KeyParts {
  upstream: Upstream
  uncharged: UnchargedCalls
}

/** Answers the client. `sent`: the request as its client wrote it. Throws what sending throws, and PiiBlockedError. */
export async function proxyUnmetered(
  parts: UnmeteredParts,
  asking: KeyRequest,
  { method, path, headers, bytes }: Omit<Outgoing, 'body'> & { method: string; bytes: Buffer },
  client: Client,
): Promise<void> {
  const { provider, caller } = asking
  await waitUntilRunnable(parts.state, caller, client.signal)
  // A response is cancelled and deleted without a word.
  const body = bytes.length > 0 ? await parseAnyBody(bytes) : undefined
  const call = { id: null, caller }
  const isLarge = bytes.length >= LARGE_BYTES
  const safe = await redactOutgoing(parts, call, provider, { path, headers, body }, isLarge)
  const sent = safe.body && (isLarge ? await writeLargeJson(safe.body) : JSON.stringify(safe.body))
  const answer = await sendWithKey(parts, asking, (key) =>
    parts.upstream.send({
      provider,
      agentId: caller.agentId,
      headers: { ...safe.headers, ...key },
      method: method as Attempt['method'],
      path: provider.dialect.pathPrefix + safe.path,
      body: sent,
      signal: client.signal,
    }),
  )
  const { status } = answer
  parts.uncharged.record({ caller, provider: provider.name, model: null, code: 'unmetered', status, refusal: null })
  if (isStream(answer.headers)) throw streamedAgain(answer)
  const reply = await readAll(answer.body, provider.name)
  const redactor = new CallRedactor(parts, call)
  const passed = passedHeaders(answer.headers, provider.dialect, redactor)
  const text = redactor.body(reply.toString('utf8'), provider.dialect.fields)
  redactor.judge()
  client.send(answer.status, passed, text)
}

/** Nobody would redact it across its pieces. */
function streamedAgain({ body }: Answer): CageError {
  body.cancel()
  return new CageError('bad_request', 'what the provider has stored is not streamed again', {
    hint: 'ask for it without "stream"',
  })
}
