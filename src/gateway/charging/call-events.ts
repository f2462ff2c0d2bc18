/** The events that a call records. Pure. */
import type { PaidBy } from '../../budget/budget-events.ts'
import { asCageError } from '../../core/errors.ts'
import type { AttemptView, NewEvent } from '../../core/events.ts'
import type { CallId } from '../../core/ids.ts'
import { showUsd, toUsd, type Usd, ZERO_NANOS } from '../../core/money.ts'
import { showCount } from '../../core/units.ts'
import type { Caller, LlmCall } from '../call.ts'
import { ClientGone } from '../provider/client.ts'
import type { Claim } from './claim.ts'

/** The duration of a call. */
export interface Timing {
  latency_ms: number
  /** Time waited because the provider requested it; absent for a call that did not wait. */
  waited_ms?: number
  /** The requests that were sent for it; absent for a single one. */
  attempts?: AttemptView[]
}

/** How a failed call is recorded. */
export interface Failure {
  code: string
  message: string
  status: number
  retryable: boolean
  /** The open circuit that refused it. */
  circuit?: string
  falls_back?: true
}

export function clampedEvent(
  { id, provider, model, maxOutputTokens: requested, caller }: LlmCall,
  tokens: number,
): Extract<NewEvent, { type: 'call.clamped' }> {
  const why =
    requested === null
      ? 'a tenth of the remaining budget pays for no more'
      : `the client requested ${showCount(requested)}`
  return {
    type: 'call.clamped',
    // DEBUG: this may apply to every call of a long run, and the reply's headers report it too.
    level: 'DEBUG',
    agent_id: caller.agentId,
    message: `${model} is limited to ${showCount(tokens)} tokens: ${why}`,
    data: { call_id: id, provider: provider.name, model, asked_tokens: requested, max_tokens: tokens },
  }
}

/** The answer, with its reasoning, ended at the limit that was written. */
export function cutEvent(call: LlmCall, tokens: number): NewEvent {
  const clamped = clampedEvent(call, tokens)
  const message = `the answer of ${call.model} was cut: ${clamped.message}`
  return { ...clamped, level: 'WARN', message, data: { ...clamped.data, was_cut: true } }
}

/** The client's own trace, for an event of its call. */
export const traceOf = ({ traceparent }: Pick<Caller, 'traceparent'>): { traceparent?: string } =>
  traceparent === undefined ? {} : { traceparent }

/** The first of the calls for one request, for an event of each. */
const firstOf = ({ trace: { firstId } }: Pick<LlmCall, 'trace'>): { first_call_id?: CallId } =>
  firstId === undefined ? {} : { first_call_id: firstId }

export interface Completion {
  claim: Claim
  paidBy: PaidBy
  /** Cost of the same usage on the baseline model; null when not compared. */
  baselineUsd: Usd | null
  status: number
  redactions: number
  timing: Timing
  firstByteMs: number | null
}

export function completedEvent(
  call: LlmCall,
  { claim, paidBy, baselineUsd, status, redactions, timing, firstByteMs }: Completion,
): NewEvent {
  const { usage, estimated, isOverrun } = claim
  const cost = toUsd(claim.cost)
  const remark = isOverrun ? ' (above its maximum cost)' : estimated ? ' (estimated)' : ''
  return {
    type: 'call.completed',
    level: isOverrun ? 'WARN' : 'INFO',
    agent_id: call.caller.agentId,
    message: `${call.model} · ${showCount(usage.input)} in ${showCount(usage.output)} out · ${showUsd(cost)}${remark}`,
    data: {
      call_id: call.id,
      provider: call.provider.name,
      model: call.model,
      stream: call.stream,
      input_tokens: usage.input,
      cached_input_tokens: usage.cachedInput,
      output_tokens: usage.output,
      cost_usd: cost,
      baseline_usd: baselineUsd,
      estimated,
      ...timing,
      first_byte_ms: firstByteMs,
      status,
      redactions,
      ...paidBy,
      ...firstOf(call),
      ...traceOf(call.caller),
    },
  }
}

/** `claim`: the charge despite the failure; undefined for a call that cost nothing. */
export function failedEvent(
  call: Pick<LlmCall, 'id' | 'provider' | 'model' | 'caller' | 'trace'>,
  { code, message, status, retryable, ...more }: Failure,
  {
    claim,
    paidBy,
    timing,
  }: { claim: Pick<Claim, 'cost' | 'estimated' | 'remarks'> | undefined; paidBy: PaidBy; timing: Timing },
): NewEvent {
  const cost = claim?.cost ?? ZERO_NANOS
  const basis = claim?.remarks.charged ? `, ${claim.remarks.charged}` : ''
  return {
    type: 'call.failed',
    level: 'WARN',
    agent_id: call.caller.agentId,
    message: `${call.model} failed: ${message}${cost ? ` · ${showUsd(toUsd(cost))} charged${basis}` : ''}`,
    data: {
      call_id: call.id,
      provider: call.provider.name,
      model: call.model,
      code,
      status,
      cost_usd: toUsd(cost),
      estimated: claim?.estimated ?? false,
      ...timing,
      retryable,
      ...more,
      ...paidBy,
      ...firstOf(call),
      ...traceOf(call.caller),
    },
  }
}

/** A request for which another call was made, or was to be. `failure`: the model that answered instead. */
export function retriedEvent(
  { provider, model, caller, trace: { calls } }: LlmCall,
  firstId: CallId,
  {
    latencyMs,
    status,
    failure,
  }: { latencyMs: number; status: number; failure: Pick<Failure, 'code' | 'message'> | undefined },
): NewEvent {
  const often = calls === 1 ? '1 call' : `${calls} calls`
  return {
    type: 'call.retried',
    level: failure ? 'WARN' : 'INFO',
    agent_id: caller.agentId,
    message: failure ? `${model} failed after ${often}: ${failure.message}` : `${model} was answered after ${often}`,
    data: {
      call_id: firstId,
      provider: provider.name,
      model,
      calls,
      code: failure?.code ?? null,
      status,
      latency_ms: latencyMs,
      ...traceOf(caller),
    },
  }
}

export function fallbackEvent(
  { provider, model, caller }: LlmCall,
  from: NonNullable<LlmCall['fallbackFrom']>,
): NewEvent {
  return {
    type: 'fallback.used',
    level: 'INFO',
    agent_id: caller.agentId,
    message: `${provider.name}/${model} answered instead of ${from.provider}/${from.model}: ${from.why}`,
    data: { service: from.provider, tier: 2, why: from.why },
  }
}

export function failureOf(error: unknown): Failure {
  if (error instanceof ClientGone) return { code: 'client_gone', message: error.message, status: 499, retryable: false }
  const { code, message, row, facts } = asCageError(error)
  const circuit = code === 'circuit_open' ? { circuit: String(facts.circuit) } : {}
  return { code, message, status: row.status, retryable: row.retry ?? false, ...circuit }
}
