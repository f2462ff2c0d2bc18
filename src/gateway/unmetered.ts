/** Routes that cost nothing: listing models, counting tokens, stored responses. Redacted like calls. */
import { CageError } from '../core/errors.ts'
import { redactAnswer } from './bodies/answer.ts'
import type { ClientConnection } from './provider/client.ts'
import type { KeyRequest } from './provider/provider-key.ts'
import type { Answer, ProviderAttempt } from './provider/upstream.ts'
import { CallRedactor } from './redaction/call-redactor.ts'
import { type Outgoing, redactOutgoing } from './redaction/redact-request.ts'
import { isStream } from './replies/framing.ts'
import { passedHeaders, readAll } from './replies/reply.ts'
import type { Road } from './road.ts'
import { waitUntilRunnable } from './wait-until-runnable.ts'

/** Answers the client. `sent`: the request as its client wrote it. Throws what sending throws, and PiiBlockedError. */
export async function proxyUnmetered(
  { state, redaction, sender, uncharged }: Road,
  asking: KeyRequest,
  { method, ...outgoing }: Outgoing & { method: string },
  client: ClientConnection,
): Promise<void> {
  const { provider, caller } = asking
  await waitUntilRunnable(state, caller, client.signal)
  const call = { id: null, caller }
  const safe = await redactOutgoing(redaction, call, provider, outgoing)
  const sent = await safe.body?.write()
  const answer = await sender.forward(asking, {
    headers: safe.headers,
    method: method as ProviderAttempt['method'],
    path: safe.path,
    body: sent,
    signal: client.signal,
  })
  const { status } = answer
  uncharged.record({ caller, provider: provider.name, model: null, code: 'unmetered', status, refusal: null })
  if (isStream(answer.headers)) throw streamedAgain(answer)
  const reply = await readAll(answer, provider.name, client)
  const redactor = new CallRedactor(redaction, call)
  const passed = passedHeaders(answer.headers, provider.dialect, redactor)
  const text = await redactAnswer(redaction, reply, provider, redactor, {
    agentId: caller.agentId,
    signal: client.signal,
  })
  redactor.judge()
  client.send(answer.status, passed, text)
}

/** A stream here would not be redacted across its frames. */
function streamedAgain({ body }: Answer): CageError {
  body.cancel()
  return new CageError('bad_request', 'stored responses cannot be streamed', {
    hint: 'request it without "stream"',
  })
}
