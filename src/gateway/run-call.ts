/**
 * THE ROAD. One call of an agent's client to a provider, from the parsed request to the recorded cost. A new feature is
 * a new part with one line here, or a listener of events; rarely a condition inside.
 */

import { withClampedRetryAfter } from '../breaker/retry.ts'
import { namedLimit } from '../budget/output-limits.ts'
import { CageError } from '../core/errors.ts'
import { cleanFrame, deliveredText, readReply, redactAnswer } from './bodies/answer.ts'
import { freeSent, LARGE_BYTES } from './bodies/bytes.ts'
import type { LlmCall } from './call.ts'
import { MeteredCall } from './charging/metered-call.ts'
import {
  type AllowedRetries,
  FieldRefused,
  isLost,
  LimitRefused,
  LostAttempt,
  recordRetried,
  withFurtherAttempts,
} from './charging/retry-call.ts'
import { afterWarning } from './limits/after-warning.ts'
import type { ClientConnection } from './provider/client.ts'
import { isModelOutage, Outage, withModelFallback } from './provider/model-fallback.ts'
import { ProviderRefusal, report, type SentCall, StreamRefusal } from './provider/send.ts'
import type { Answer } from './provider/upstream.ts'
import { CallRedactor } from './redaction/call-redactor.ts'
import { redactRequest } from './redaction/redact-request.ts'
import type { Framing } from './replies/frames.ts'
import { framingOf, serverSentEvents } from './replies/framing.ts'
import { passedHeaders, readAll } from './replies/reply.ts'
import { relayFrames } from './replies/stream.ts'
import { modelWatcher, toolWatcher, watchFrames } from './replies/watched-frames.ts'
import type { Road } from './road.ts'
import { waitUntilRunnable } from './wait-until-runnable.ts'

/** Answers the client. Throws if the call was refused or failed before its response began; then nothing is held. */
export async function runCall(road: Road, call: LlmCall, client: ClientConnection): Promise<void> {
  limitTime(call, client) //                                           no call runs forever
  await waitUntilRunnable(road.state, call.caller, client.signal) //       the agent must be running, not paused
  road.loops.check(call) //                                                 it must not go round in circles
  road.tools.check(call) //                                                 nor call more tools than it may
  const safe = await redactRequest(road.redaction, call) //                  when the policy covers requests
  const chosen = await afterWarning(road, safe) //                           a cheaper model, when money gets short
  // Several calls for one request are one trace.
  await recordRetried(road, chosen, client, () =>
    withModelFallback(road.upstream, chosen, (one, hasNext) =>
      withFurtherAttempts(one, road.clock, client.signal, (again, allowed) =>
        attemptCall(road, again, client, { ...allowed, hasNext }),
      ),
    ),
  )
}

function limitTime({ provider: { name, settings } }: LlmCall, client: ClientConnection): void {
  const seconds = settings.total_timeout_s
  client.limit(
    seconds * 1000,
    () =>
      new CageError('provider_timeout', `the call to ${name} took longer than ${seconds} s in total`, {
        facts: { provider: name, timeout_s: seconds },
        hint: "raise the provider's total_timeout_s in the configuration if such calls are expected",
      }),
  )
}

/** Ways to continue instead of answering the client with an error. */
interface AllowedRecovery extends AllowedRetries {
  /** Another model can be tried: an Outage may be thrown. */
  hasNext: boolean
}

/** One attempt of one model. */
async function attemptCall(
  road: Road,
  call: LlmCall,
  client: ClientConnection,
  { hasNext, hasAttempt, hasLimit, hasField }: AllowedRecovery,
): Promise<void> {
  const open = await MeteredCall.begin(road, call, client) //     price the call, hold its maximum cost
  const recording = road.contents.record(call, open.body, client) //  if contents of calls are kept
  try {
    const sent = await road.sender.send(open, client.signal, hasNext) //    queue, circuit, key, provider
    open.sawFirstByte()
    const redactor = new CallRedactor(road.redaction, call)
    const framing = await framingOf(sent, call.format, call.stream)
    if (recording) recording.framing = framing
    const canRecover = (refusal: StreamRefusal) => refusal.isRetryable && (hasAttempt || hasNext)
    const relayed = framing
      ? relayStream(road, open, { ...sent, framing, canRecover }, redactor, client)
      : relayReply(road, open, sent, redactor, client)
    await relayed
      .catch((error) => {
        report(sent.permit, error)
        throw error
      })
      .finally(() => redactor.close())
    sent.permit.succeeded()
    road.tools.answered(call)
  } catch (error) {
    // The client has this error as it came.
    if (error instanceof StreamRefusal && client.hasBegun) return
    const isRetryable = error instanceof StreamRefusal || (!open.hasFirstByte && isLost(error))
    const canRetry = hasAttempt && !hasNext && !client.signal.aborted && isRetryable
    const fallsBack = hasNext && !canRetry && !client.hasBegun && isModelOutage(error)
    if (canRetry || fallsBack) open.isFollowed()
    if (error instanceof StreamRefusal) await open.brokenOff(error)
    else if (error instanceof ProviderRefusal) {
      if (hasLimit) await refuseLimit(road, open, error)
      if (hasField) await refuseField(open, error)
      if (!fallsBack) return await relayRefusal(road, open, error, client)
      await open.refused(error.status, error.isRetryable)
    } else {
      const abandoned = client.signal.aborted ? { isBehind: client.isBehind } : undefined
      await open.failed(error, { fallsBack, abandoned }) //            the provider's possible bill is still charged
    }
    if (canRetry) throw new LostAttempt((error as Error).message, { cause: error })
    throw fallsBack ? new Outage((error as Error).message, { cause: error }) : error
  } finally {
    recording?.keep()
    freeSent(open.body)
  }
}

/** Assesses the cost, redacts, charges and records, answers. */
async function relayReply(
  road: Road,
  open: MeteredCall,
  sent: SentCall,
  redactor: CallRedactor,
  client: ClientConnection,
): Promise<void> {
  const { call } = open
  const bytes = await readAll(sent, call.provider.name, client)
  const reply = await readReply(road.redaction, bytes, call)
  open.answeredBy = reply.model
  if (road.tools.isOn) road.tools.asked(call, reply.tools())
  await open.assess(reply.usage, reply.delivered, sent.status)
  const headers = headersOf(open, sent, redactor)
  const safe = await reply.redacted(redactor)
  redactor.judge()
  await open.completed(sent.status, redactor.findings.count)
  client.send(sent.status, { ...headers, ...costHeaders(open, redactor) }, safe)
}

/**
 * Like `relayReply`, frame by frame: charged and recorded before the last frame is sent, so that a client that sees the
 * end can read the cost. An error is a frame, and the delivered tokens are charged. Throws the provider's own error
 * after it was passed on, or before anything was sent if the call can be made again.
 */
async function relayStream(
  road: Road,
  open: MeteredCall,
  sent: SentCall & { framing: Framing; canRecover: (refusal: StreamRefusal) => boolean },
  redactor: CallRedactor,
  client: ClientConnection,
): Promise<void> {
  const { format, provider, trace } = open.call
  const names = modelWatcher((model) => {
    open.answeredBy = model
  })
  const asks = toolWatcher((tools) => road.tools.asked(open.call, tools))
  const reader = watchFrames(
    format.readStream(redactor, open.call.wantsUsage),
    road.tools.isOn ? [names, asks] : [names],
  )
  open.reader = reader
  open.delivered = () => deliveredText(reader.deliveredText, redactor.cutCharacters)
  const headers = { ...headersOf(open, sent, redactor), 'cache-control': 'no-cache' }
  const { framing } = sent
  trace.encoder = framing.encoder()
  const frames = {
    ...{ reader, redactor, framing, encoder: trace.encoder, clock: road.clock, keepsAlive: !format.readsComments },
    clean: (data: Buffer) => cleanFrame(road.redaction, data, open.call),
    begin: () => {
      if (!client.hasBegun) client.begin(sent.status, headers)
    },
  }
  let refusal: StreamRefusal | undefined
  const ended = relayFrames(sent, provider.name, frames, client, async () => {
    redactor.findings.report()
    if (reader.errorStatus !== undefined) {
      refusal = new StreamRefusal(sent, reader.errorStatus)
      // Nothing was sent: the call may be made again.
      if (!client.hasBegun && sent.canRecover(refusal)) throw refusal
      return open.brokenOff(refusal)
    }
    await open.assess(reader.usage(), open.delivered(), sent.status)
    await open.completed(sent.status, redactor.findings.count)
  })
  await ended.catch((error) => {
    if (!(error instanceof StreamRefusal) && !client.isGone) frames.begin()
    throw error
  })
  client.end(trace.encoder.end())
  if (refusal) throw refusal
}

/** Ends the call and throws LimitRefused when the provider refused a limit that the client did not set. */
async function refuseLimit({ money: { prices } }: Road, open: MeteredCall, refusal: ProviderRefusal): Promise<void> {
  const { clampedTo, call } = open
  if (clampedTo === null || refusal.status !== 400) return
  const named = namedLimit(errorTextOf(refusal), clampedTo)
  if (named === undefined) return
  if (named.isOfModel) prices.learnOutputLimit(call.provider.name, call.model, named.tokens)
  open.isFollowed()
  await open.refused(refusal.status, true)
  throw new LimitRefused(named.tokens, { cause: refusal })
}

/** Ends the call and throws FieldRefused when the provider refused a field that we added: the next call is without it. */
async function refuseField(open: MeteredCall, refusal: ProviderRefusal): Promise<void> {
  if (refusal.status !== 400 && refusal.status !== 422) return
  const text = errorTextOf(refusal)
  const learned = [learnLimit(open.call, text), learnUsage(open.call, text)].filter((what) => what !== undefined)
  if (learned.length === 0) return
  open.isFollowed()
  await open.refused(refusal.status, true)
  throw new FieldRefused(`${open.call.provider.name} takes ${learned.join(' and ')}`, { cause: refusal })
}

function learnLimit({ provider, model, format }: LlmCall, refusal: string): string | undefined {
  const field = format.onlyLimitIn?.(refusal)
  if (field === undefined || provider.isOfficial || provider.onlyLimits.size >= MAX_LEARNED) return undefined
  provider.onlyLimits.set(model, field)
  return `the limit in ${field} alone`
}

/** Mistral and old versions of Azure refuse the option with which a stream reports its usage. */
function learnUsage({ provider, model, stream, wantsUsage }: LlmCall, refusal: string): string | undefined {
  const isKnown = provider.withoutUsage.has(model) || provider.withoutUsage.size >= MAX_LEARNED
  if (!stream || wantsUsage || isKnown || !/stream_options/.test(refusal)) return undefined
  provider.withoutUsage.add(model)
  return 'no stream_options'
}

/** The start of the body is enough to find the limit. */
const errorTextOf = ({ body }: ProviderRefusal): string => body.toString('utf8', 0, LARGE_BYTES)

/** Bounded, since agents choose the names of models. */
const MAX_LEARNED = 1_000

/** Passes the provider's own error to the client unchanged, except for personal data. */
async function relayRefusal(
  road: Road,
  open: MeteredCall,
  refusal: ProviderRefusal,
  client: ClientConnection,
): Promise<void> {
  await open.refused(refusal.status, refusal.isRetryable)
  const { provider, caller } = open.call
  const redactor = new CallRedactor(road.redaction, open.call)
  const headers = withClampedRetryAfter(headersOf(open, refusal, redactor), road.clock.now())
  const work = { agentId: caller.agentId, signal: client.signal }
  const body = await redactAnswer(road.redaction, refusal.body, provider, redactor, work)
  redactor.judge()
  client.send(refusal.status, headers, body)
}

const headersOf = (open: MeteredCall, { headers }: Pick<Answer, 'headers'>, redactor: CallRedactor) => ({
  ...passedHeaders(headers, open.call.provider.dialect, redactor),
  ...ourHeaders(open),
})

const ourHeaders = (open: MeteredCall): Record<string, string> => ({
  'x-iron-cage-call-id': open.call.id,
  ...(open.waitedMs === 0 ? {} : { 'x-iron-cage-waited-ms': String(open.waitedMs) }),
  ...(open.call.fallbackFrom === undefined
    ? {}
    : { 'x-iron-cage-tier': '2', 'x-iron-cage-model': encodeURI(`${open.call.provider.name}/${open.call.model}`) }),
  ...(open.clampedTo === null ? {} : { 'x-iron-cage-clamped-max-tokens': String(open.clampedTo) }),
  ...(open.clampedToolUses === null ? {} : { 'x-iron-cage-clamped-tool-uses': String(open.clampedToolUses) }),
})

const costHeaders = (open: MeteredCall, redactor: CallRedactor): Record<string, string> => ({
  'x-iron-cage-cost-usd': open.cost,
  'x-iron-cage-remaining-usd': open.remaining,
  'x-iron-cage-redactions': String(redactor.findings.count),
})

/** Ends a streamed response that broke: with an error frame in the dialect, and nothing that looks like an end. */
export function endBrokenStream(call: LlmCall, error: CageError, client: ClientConnection): void {
  const { encoder = serverSentEvents.encoder() } = call.trace
  if (!client.isGone) client.end(encoder.frames([call.provider.dialect.errorFrame(error, call.id)]))
}
