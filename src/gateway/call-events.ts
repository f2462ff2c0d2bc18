/** What the road of a call records, as events. Pure. */
import type { PaidBy } from '../budget/budget-events.ts'
import { asCageError } from '../errors.ts'
import type { NewEvent } from '../events.ts'
import { type Nanodollars, showUsd, toUsd, type Usd } from '../money.ts'
import { showCount } from '../state/figures.ts'
import type { LlmCall } from './call.ts'
import type { Claim } from './claim.ts'
import { ClientGone } from './client.ts'

/** How long a call took. */
export interface Timing {
  latency_ms: number
  /** Because the provider asked for it; left out for a call that did not wait. */
  waited_ms?: number
}

/** How a call that failed is recorded. */
export interface Failure {
  code: string
  message: string
  status: number
  retryable: boolean
  /** That of an open circuit. */
  circuit?: string
  falls_back?: true
}

export function clampedEvent(
  { id, provider, model, maxOutputTokens: asked, caller }: LlmCall,
  tokens: number,
): NewEvent {
  const why = asked === null ? 'a tenth of what is left pays for no more' : `it asked for ${showCount(asked)}`
  return {
    type: 'call.clamped',
    // Each call of a long run may be, and its reply says so, too.
    level: 'DEBUG',
    agent_id: caller.agentId,
    message: `${model} may answer with ${showCount(tokens)} tokens at most: ${why}`,
    data: { call_id: id, provider: provider.name, model, asked_tokens: asked, max_tokens: tokens },
  }
}

export interface Completion {
  claim: Claim
  paidBy: PaidBy
  /** What the same would have cost on the baseline model; null where it is not compared. */
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
  const remark = isOverrun ? ' (more than it could cost)' : estimated ? ' (estimated)' : ''
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
    },
  }
}

/** `claim`: what is charged all the same; undefined for a call that cost nothing. */
export function failedEvent(
  call: LlmCall,
  { code, message, status, retryable, ...more }: Failure,
  { claim, paidBy, timing }: { claim: Claim | undefined; paidBy: PaidBy; timing: Timing },
): NewEvent {
  const cost: Nanodollars = claim?.cost ?? 0
  return {
    type: 'call.failed',
    level: 'WARN',
    agent_id: call.caller.agentId,
    message: `${call.model} failed: ${message}${cost ? ` · ${showUsd(toUsd(cost))} charged` : ''}`,
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
