/**
 * The maximum cost of a call at its provider, and the hold for it: price, limits, trust, hold. The body sent is the one
 * that was bounded here.
 */
import { type Bound, boundCall, USEFUL_OUTPUT_TOKENS } from '../../budget/estimate.ts'
import type { Money } from '../../budget/open-money.ts'
import type { Price } from '../../budget/price.ts'
import type { ModelAdmission } from '../../budget/trust.ts'
import type { Clock } from '../../core/clock.ts'
import { BudgetExceededError, CageError } from '../../core/errors.ts'
import { max, min, type Nanodollars, nanodollars } from '../../core/money.ts'
import type { Safety } from '../../redaction/safety.ts'
import type { StateManager } from '../../state/state-manager.ts'
import { freeSent } from '../bodies/bytes.ts'
import type { MaybePromise } from '../bodies/request-body.ts'
import type { LlmCall } from '../call.ts'
import type { ClientConnection } from '../provider/client.ts'
import { isVendors } from '../provider/provider.ts'
import { OpenHold } from './open-hold.ts'

/** The parts that price, hold and end calls. */
export interface Meter {
  state: StateManager
  clock: Clock
  money: Money
  /** Redacts the names of models. */
  safety: Pick<Safety, 'scrub'>
}

export interface PricedCall {
  price: Price
  bound: Bound
  hold: OpenHold
  /** Must be ended with the call. */
  admission: ModelAdmission
  /** Returns the body to send, with usage requested and output limited. Throws the signal's reason. */
  write: () => MaybePromise<string | Buffer>
  /** Its size in UTF-8 bytes. */
  bytes: number
}

/** Allowance for templates and system prompts that a third-party server adds to a request. */
const ADDED_TOKENS = 512

/**
 * Prices the call and holds the most it can cost, as soon as it is admitted. Throws PriceUnknownError, CageError
 * `model_refused` or `too_many_streams`, BudgetExceededError, BudgetHeldError, or CageError `database_unusable`; then nothing is held and
 * nothing was sent.
 */
export async function holdCall(
  meter: Meter,
  call: LlmCall,
  client: Pick<ClientConnection, 'signal' | 'cancel'>,
): Promise<PricedCall> {
  const price = limited(await meter.money.prices.get(call.provider.name, call.model), call)
  for (let mustWait = false; ; mustWait = true) {
    const cancel = (reason: CageError) => client.cancel(reason)
    const admission = await meter.money.trust.enter(subjectOf(meter, call), client.signal, cancel, mustWait)
    try {
      return { price, admission, ...(await holdAdmitted(meter, call, price, admission, client.signal)) }
    } catch (error) {
      admission.end()
      if (!(error instanceof TooDearBesideOthers)) throw error
    }
  }
}

/** The budget cannot pay the most that this call can cost while others run. */
class TooDearBesideOthers extends Error {}

/** Applies the output limit that the provider named for this call. */
const limited = (price: Price, { outputLimit }: LlmCall): Price =>
  outputLimit === undefined ? price : { ...price, outputLimit: Math.min(outputLimit, price.outputLimit ?? outputLimit) }

const subjectOf = ({ safety }: Meter, { caller, provider, model, demands }: LlmCall) => ({
  agentId: caller.agentId,
  provider: provider.name,
  model: safety.scrub(model),
  address: provider.baseUrl.href,
  isOfficial: provider.isOfficial,
  unknownFields: demands.unknownFields,
})

async function holdAdmitted(
  meter: Meter,
  call: LlmCall,
  price: Price,
  admission: ModelAdmission,
  signal: AbortSignal,
): Promise<Pick<PricedCall, 'bound' | 'hold' | 'write' | 'bytes'>> {
  const { body: request, format, provider, stream, model } = call
  const { onlyLimits, withoutUsage } = provider
  const learned = { onlyLimit: onlyLimits.get(model), asksUsage: !withoutUsage.has(model) }
  const asIs = { stream, clampTo: null, toolUses: null, isVendors: isVendors(provider), model, ...learned }
  const unclamped = await request.write(format, asIs)
  const bytes = Buffer.byteLength(unclamped)
  let isSent = false
  try {
    const { bound, hold } = await meter.money.raiseWait
      .run(call.caller, signal, () => holdBound(meter, call, { price, admission, bytes }, signal))
      .catch((error) => {
        throw explained(error, call, meter.money)
      })
    const { clampTo, toolUses } = bound
    isSent = clampTo === null && toolUses === null
    const write = isSent ? () => unclamped : () => request.write(format, { ...asIs, clampTo, toolUses })
    return { bound, hold, bytes, write }
  } finally {
    if (!isSent) freeSent(unclamped)
  }
}

/** Says why so little text may cost so much, and why no shorter answer was asked for. */
function explained(error: unknown, { demands, maxOutputTokens, provider }: LlmCall, { clamp, stored }: Money): unknown {
  if (!(error instanceof BudgetExceededError)) return error
  const { message, facts, hint } = error
  const because = (why: string, instead: string) =>
    new CageError('budget_exceeded', `${message}: ${why}`, { facts, hint: `${instead}, or ${hint}` })
  if (demands.serverTools)
    return because(
      'each use of a tool that the provider runs may read a whole context window',
      'limit how often they are used (max_uses, max_tool_calls), leave them out (mcp_servers, tools)',
    )
  if (demands.isInputUnseen || stored.tokensOf(provider.name, demands.references) === undefined)
    return because(
      'the request refers to what only the provider has, of which the model may read a whole context window',
      'send the content itself',
    )
  if (maxOutputTokens === null && clamp)
    return because(
      `that is the request with an answer of ${USEFUL_OUTPUT_TOKENS} tokens, and a shorter one is not asked for`,
      'send less text, set a limit of tokens',
    )
  return error
}

async function holdBound(
  { money, safety }: Meter,
  { body, format, provider, model, maxOutputTokens, answers, demands, caller, id }: LlmCall,
  { price, admission, bytes }: Pick<PricedCall, 'price' | 'admission' | 'bytes'>,
  signal: AbortSignal,
): Promise<Pick<PricedCall, 'bound' | 'hold'>> {
  const { ledger, clamp } = money
  const terms = [...new Set([...demands.terms, ...admission.terms])]
  const stored = money.stored.tokensOf(provider.name, demands.references)
  const unseen = stored === undefined && { isInputUnseen: true, audioBytes: Number.POSITIVE_INFINITY }
  const addedTokens = admission.addedTokens + (isVendors(provider) ? 0 : ADDED_TOKENS) + (stored ?? 0)
  const asked = { ...demands, ...unseen, terms }
  const bound = await boundCall(
    price,
    { bytes, maxOutputTokens, answers, model, text: body.text(format), demands: asked, addedTokens },
    ledger.accounts.available(caller),
    clamp,
  )
  const available = ledger.accounts.available(caller)
  if (admission.isBesideOthers && bound.largest > available) throw new TooDearBesideOthers()
  const maxCost = maxToHold(bound, admission, available)
  const isForTools = demands.serverTools !== null
  const held = {
    id,
    caller,
    kind: 'llm',
    target: provider.name,
    model: safety.scrub(model),
    maxCost,
    isForTools,
  } as const
  return { bound, hold: await OpenHold.attempt(ledger, held, signal) }
}

/**
 * A model that may not obey its limit is held at the most it can cost. If that is more than is free, everything free is
 * held, so that a small budget can start at all: with one call, while the next one of this model waits for it.
 */
function maxToHold(
  { maxCost, largest }: Bound,
  { isTrusted, factor }: ModelAdmission,
  available: Nanodollars,
): Nanodollars {
  const bound = nanodollars(Math.ceil(maxCost * factor))
  return isTrusted ? bound : max(bound, min(largest, available))
}
