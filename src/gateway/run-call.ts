/**
 * THE ROAD. One call of an agent's client to a provider, from the parsed request to the recorded cost. A new feature is
 * a new part with one line on it, or a listener of events; rarely a condition inside.
 */
import { withClampedRetryAfter } from '../breaker/retry.ts'
import type { CageError } from '../errors.ts'
import type { LlmCall } from './call.ts'
import { CallRedactor, type RedactionParts } from './call-redactor.ts'
import type { Client } from './client.ts'
import { type MoneyParts, OpenCall } from './open-call.ts'
import { isOutage, Outage, withOtherModels } from './other-model.ts'
import { redactRequest } from './redact-request.ts'
import { isStream, parseReply, passedHeaders, readAll } from './reply.ts'
import { isLost, LostAttempt, withFurtherAttempts } from './retry-call.ts'
import { ProviderRefusal, report, type SendParts, type SentCall, send } from './send.ts'
import { relayStream, showFrame } from './stream.ts'
import { untilRunning } from './until-running.ts'

export interface RoadParts extends MoneyParts, RedactionParts, SendParts {}

/** Answers the client. Throws for a call that was refused or failed before its answer began; nothing is held then. */
export async function runCall(parts: RoadParts, call: LlmCall, client: Client): Promise<void> {
  await untilRunning(parts.state, call.caller, client.signal) //       is the agent running and not paused
  const safe = redactRequest(parts, call) //                           when the policy covers requests
  await withOtherModels(parts, safe, (one, hasNext) =>
    withFurtherAttempts(one, client.signal, (again, hasAnother) =>
      passCall(parts, again, client, { hasNext, hasAnother }),
    ),
  )
}

/** What is done when a call comes to no answer, in place of giving the client the error. */
interface Otherwise {
  /** Another attempt is made: throws a LostAttempt. */
  hasAnother: boolean
  /** Another model is asked: throws an Outage. */
  hasNext: boolean
}

/** One attempt of one model. */
async function passCall(
  parts: RoadParts,
  call: LlmCall,
  client: Client,
  { hasNext, hasAnother }: Otherwise,
): Promise<void> {
  const open = await OpenCall.begin(parts, call, client.signal) //     price it, hold the most it can cost
  try {
    const sent = await send(parts, open, client.signal, hasNext) //    turn, circuit, key, provider
    open.sawFirstByte()
    const redactor = new CallRedactor(parts, call)
    const pass = isStream(sent.headers) ? passStream : passWhole
    const headers = { ...passedHeaders(sent.headers, call.provider.dialect, parts.clean), ...ourHeaders(open) }
    await pass(open, sent, headers, redactor, client)
      .catch((error) => {
        report(sent.permit, error)
        throw error
      })
      .finally(() => redactor.close())
    sent.permit.succeeded()
  } catch (error) {
    const isAgain = hasAnother && !hasNext && !open.hasFirstByte && !client.signal.aborted && isLost(error)
    const asksAnother = hasNext && !isAgain && !client.hasBegun && isOutage(error)
    if (error instanceof ProviderRefusal) {
      if (!asksAnother) return passRefusal(parts, open, error, client)
      open.refused(error.status, error.isRetryable)
    } else await open.failed(error, asksAnother) //                    what was delivered is charged all the same
    if (isAgain) throw new LostAttempt((error as Error).message, { cause: error })
    throw asksAnother ? new Outage((error as Error).message, { cause: error }) : error
  }
}

type Headers = Record<string, string>

/** Charge, redact, record, answer. */
async function passWhole(
  open: OpenCall,
  sent: SentCall,
  headers: Headers,
  redactor: CallRedactor,
  client: Client,
): Promise<void> {
  const { format, provider } = open.call
  const bytes = await readAll(sent.body, provider.name)
  const text = bytes.toString('utf8')
  const reply = parseReply(text, provider.name)
  await open.charge(format.usageOf(reply), text, sent.status)
  const safe = format.redactReply(reply, redactor.whole)
  redactor.report()
  redactor.requireUnblocked()
  await open.completed(sent.status, redactor.count)
  client.send(
    sent.status,
    { ...headers, ...costHeaders(open, redactor) },
    redactor.count > 0 ? JSON.stringify(safe) : bytes,
  )
}

/**
 * The same, while it comes: charged and recorded before its last frame leaves, so that who saw the end sees the cost.
 * After its first byte an error is a frame, and what was delivered is charged.
 */
async function passStream(
  open: OpenCall,
  sent: SentCall,
  headers: Headers,
  redactor: CallRedactor,
  client: Client,
): Promise<void> {
  const { format, provider } = open.call
  const reader = format.readStream(redactor, open.call.wantsUsage)
  open.reader = reader
  client.begin(sent.status, { ...headers, 'cache-control': 'no-cache' })
  await relayStream(sent, provider.name, reader, redactor, client, async () => {
    await open.charge(reader.usage(), reader.deliveredText, sent.status)
    redactor.report()
    await open.completed(sent.status, redactor.count)
  })
  client.end()
}

/** The provider's own error reaches the client as it is, less personal data. */
function passRefusal({ redactor, clean }: RoadParts, open: OpenCall, refusal: ProviderRefusal, client: Client): void {
  open.refused(refusal.status, refusal.isRetryable)
  const body = redactor.clean(refusal.body.toString('utf8'))
  const headers = withClampedRetryAfter(passedHeaders(refusal.headers, open.call.provider.dialect, clean))
  client.send(refusal.status, { ...headers, ...ourHeaders(open) }, body)
}

const ourHeaders = (open: OpenCall): Record<string, string> => ({
  'x-iron-cage-call-id': open.call.id,
  ...(open.waitedMs === 0 ? {} : { 'x-iron-cage-waited-ms': String(open.waitedMs) }),
  ...(open.call.insteadOf === undefined
    ? {}
    : { 'x-iron-cage-tier': '2', 'x-iron-cage-model': encodeURI(`${open.call.provider.name}/${open.call.model}`) }),
  ...(open.clampedTo === null ? {} : { 'x-iron-cage-clamped-max-tokens': String(open.clampedTo) }),
  ...(open.clampedToolUses === null ? {} : { 'x-iron-cage-clamped-tool-uses': String(open.clampedToolUses) }),
})

const costHeaders = (open: OpenCall, redactor: CallRedactor): Record<string, string> => ({
  'x-iron-cage-cost-usd': open.cost,
  'x-iron-cage-remaining-usd': open.remaining,
  'x-iron-cage-redactions': String(redactor.count),
})

/** Ends a streamed answer that broke: an error frame in the dialect, and nothing that looks like an end. */
export function endBrokenStream(call: LlmCall, error: CageError, client: Client): void {
  if (!client.signal.aborted) client.end(showFrame(call.provider.dialect.errorFrame(error, call.id)))
}
