/**
 * A call that holds money, from the hold to its record. The order on the road is: charge, then judge the reply, then
 * record. Whatever goes wrong between, `failed` brings the call to its end: a hold ends exactly once, a call is recorded
 * exactly once, and what was charged is never taken back.
 */
import { type Bound, boundCall, countTokens } from '../budget/estimate.ts'
import type { Hold, Ledger, Settled } from '../budget/ledger.ts'
import type { Price } from '../budget/price.ts'
import { appliedRates, costOf, isExact, knownPart, type Prices } from '../budget/prices.ts'
import type { Clock } from '../clock.ts'
import { withoutImages } from '../dialects/demands.ts'
import type { ReportedUsage, StreamReader, Usage } from '../dialects/dialect.ts'
import { writeLargeJson } from '../dialects/large-json.ts'
import { asCageError } from '../errors.ts'
import { type Nanodollars, showUsd, toUsd, type Usd } from '../money.ts'
import type { Clean } from '../state/clean.ts'
import { showCount } from '../state/figures.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { LlmCall } from './call.ts'
import { ClientGone } from './client.ts'

export interface MoneyParts {
  /** For what is stored or told beside a reply: takes out everything that is detected, and never throws. */
  clean: Clean
  state: StateManager
  ledger: Ledger
  prices: Prices
  clock: Clock
  /** The model that cheaper ones are compared with; null for none. (config.budget.baseline) */
  baseline: string | null
  /** Limit a call that did not say how much it wants to what the budget can pay. (config.budget.clamp_max_tokens) */
  clamp: boolean
}

interface Charged {
  settled: Settled
  usage: Usage
  estimated: boolean
}

/** How a call that failed is told. */
interface Failure {
  code: string
  message: string
  status: number
  retryable: boolean
  /** That of an open circuit. */
  circuit?: string
  falls_back?: true
}

export class OpenCall {
  readonly call: LlmCall
  /** The body to send, with usage asked for and output limited. */
  readonly body: string | Buffer
  /** True from the moment in which the provider may have got the request: from then on it may cost money. */
  wasSent = false
  /** How long it waited because the provider asked for it, in ms. */
  waitedMs = 0
  /** The answer that is being streamed, for what was delivered of it. */
  reader: StreamReader | undefined
  readonly #parts: MoneyParts
  readonly #price: Price
  readonly #hold: Hold
  readonly #bound: Bound
  readonly #startedAt: number
  #firstByteMs: number | null = null
  #charged: Charged | undefined
  #isRecorded = false

  /**
   * Prices the call and holds the most it can cost. Throws PriceUnknownError, BudgetExceededError, BudgetHeldError, or
   * CageError `database_unusable`; nothing is held then and nothing was sent.
   */
  static async begin(parts: MoneyParts, call: LlmCall, signal: AbortSignal): Promise<OpenCall> {
    const startedAt = parts.clock.monotonic()
    const { format, provider } = call
    const { agentId, runId } = call.caller
    const price = limited(await parts.prices.get(provider.name, call.model), call)
    const unclamped = await writeBody(call, null, null)
    const bound = await boundCall(
      price,
      {
        bytes: Buffer.byteLength(unclamped),
        maxOutputTokens: call.maxOutputTokens,
        answers: call.answers,
        model: call.model,
        text: format.textOf(call.body),
        demands: call.demands,
      },
      parts.ledger.accounts.available(call.caller),
      parts.clamp,
    )
    const hold = await parts.ledger.hold(
      {
        callId: call.id,
        agentId,
        runId,
        kind: 'llm',
        target: provider.name,
        model: parts.clean(call.model),
        most: bound.most,
      },
      signal,
    )
    const { clampTo, toolUses } = bound
    const isAsSent = clampTo === null && toolUses === null
    const body = isAsSent ? unclamped : await writeBody(call, clampTo, toolUses)
    const open = new OpenCall(parts, call, price, hold, body, bound, startedAt)
    if (clampTo !== null) open.#recordClamp(clampTo)
    return open
  }

  private constructor(
    parts: MoneyParts,
    call: LlmCall,
    price: Price,
    hold: Hold,
    body: string | Buffer,
    bound: Bound,
    startedAt: number,
  ) {
    this.#parts = parts
    this.call = call
    this.#price = price
    this.#hold = hold
    this.body = body
    this.#bound = bound
    this.#startedAt = startedAt
  }

  sawFirstByte(): void {
    this.#firstByteMs ??= this.#elapsedMs()
  }

  get hasFirstByte(): boolean {
    return this.#firstByteMs !== null
  }

  /** The limit that was put on the answer, in tokens; null when the client's own stands. */
  get clampedTo(): number | null {
    return this.#bound.clampTo
  }

  /** The limit of uses that was put on each of the provider's own tools. */
  get clampedToolUses(): number | null {
    return this.#bound.toolUses
  }

  /** What the call cost, once it is charged. */
  get cost(): Usd {
    return toUsd(this.#charged?.settled.cost ?? 0)
  }

  /** What is left of the agent's budget. */
  get remaining(): Usd {
    return toUsd(this.#parts.ledger.accounts.available(this.#hold))
  }

  /**
   * Charges what the provider says it used, or what was delivered when it did not say: then request and `delivered` are
   * counted by tokenizer, at most the hold, never nothing.
   */
  async charge(reported: ReportedUsage | undefined, delivered: string, status: number): Promise<void> {
    const { model, demands } = this.call
    // Searches that no reply tells of are made all the same.
    const searches = demands.searches > 0 ? { previewSearches: demands.searches } : {}
    if (reported?.isFinal && !this.#isSuspicious(reported.usage, delivered)) {
      const usage = { ...searches, ...reported.usage }
      this.#settle(this.#costOf(usage), usage, reported.isRepaired || !isExact(this.#price, usage), status)
      return
    }
    const usage: Usage = {
      ...NOTHING_CACHED,
      ...searches,
      ...reported?.usage,
      ...this.#unsaidSearches(),
      input: await this.#unsaidInput(reported),
      output: Math.max(reported?.usage.output ?? 0, await countTokens(delivered, model)),
    }
    const cost = Math.min(this.#hold.most, costOf(this.#price, usage))
    this.#settle(Math.max(1, cost), usage, true, status)
  }

  /** What was read, when the provider did not say, or not for the last time: what cannot be counted is taken for the most. */
  async #unsaidInput(reported: ReportedUsage | undefined): Promise<number> {
    const { body, model, demands, isLarge } = this.call
    // To count the tokens of so much would hold up everybody.
    if (demands.serverTools || ((demands.isInputUnseen || isLarge) && !reported)) return this.#bound.inputTokens
    return (
      reported?.usage.input ?? (await countTokens(withoutImages(body), model)) + demands.images * demands.imageTokens
    )
  }

  /** The provider's own tools ran as often as they might have. */
  #unsaidSearches(): Pick<Usage, 'webSearches'> {
    const { serverTools } = this.call.demands
    return serverTools ? { webSearches: serverTools.count * (serverTools.uses ?? this.#bound.toolUses ?? 0) } : {}
  }

  /** What has a price is charged in full; an estimate of the rest is not more than the call could cost. */
  #costOf(usage: Usage): Nanodollars {
    const whole = costOf(this.#price, usage)
    if (isExact(this.#price, usage)) return whole
    return Math.max(costOf(this.#price, knownPart(this.#price, usage)), Math.min(this.#hold.most, whole))
  }

  /** No output is not believed of a long answer, where output costs anything. */
  #isSuspicious({ output }: Usage, delivered: string): boolean {
    return output === 0 && delivered.length > SUSPICIOUS_CHARACTERS && this.#price.output.base > 0
  }

  #recordClamp(tokens: number): void {
    const { id, provider, model, maxOutputTokens: asked, caller } = this.call
    const why = asked === null ? 'a tenth of what is left pays for no more' : `it asked for ${showCount(asked)}`
    this.#parts.state.record({
      type: 'call.clamped',
      level: 'INFO',
      agent_id: caller.agentId,
      message: `${model} may answer with ${showCount(tokens)} tokens at most: ${why}`,
      data: { call_id: id, provider: provider.name, model, asked_tokens: asked, max_tokens: tokens },
    })
  }

  /** Records a call that was answered. `charge` comes first. */
  async completed(status: number, redactions: number): Promise<void> {
    const { settled, usage, estimated } = this.#charged!
    const baselineUsd = await this.#baselineOf(usage, settled.cost)
    const { call } = this
    const cost = toUsd(settled.cost)
    const remark = this.#isOverrun(settled.cost) ? ' (more than it could cost)' : estimated ? ' (estimated)' : ''
    this.#isRecorded = true
    const recorded = this.#parts.state.recordSoon(
      {
        type: 'call.completed',
        level: this.#isOverrun(settled.cost) ? 'WARN' : 'INFO',
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
          latency_ms: this.#elapsedMs(),
          ...this.#waited(),
          first_byte_ms: this.#firstByteMs,
          status,
          redactions,
          ...settled.paidBy,
        },
      },
      settled.write,
    )
    if (call.insteadOf) this.#recordFallback(call.insteadOf)
    await recorded
  }

  #recordFallback({ provider, model, why }: NonNullable<LlmCall['insteadOf']>): void {
    const { call } = this
    this.#parts.state.record({
      type: 'fallback.used',
      level: 'INFO',
      agent_id: call.caller.agentId,
      message: `${call.provider.name}/${call.model} answered instead of ${provider}/${model}: ${why}`,
      data: { service: provider, tier: 2, why },
    })
  }

  /** Ends a call that the provider refused: it cost nothing. */
  refused(status: number, retryable: boolean): void {
    const settled = this.#parts.ledger.release(this.#hold, { status, code: 'provider_refused' })
    this.#recordFailure(settled, {
      code: 'provider_refused',
      message: `${this.call.provider.name} answered ${status}`,
      status,
      retryable,
    })
  }

  /**
   * Ends a call that broke at any point: releases the hold when nothing was sent, charges what is known otherwise.
   * `fallsBack`: another model is asked now. (Default: false.)
   */
  async failed(error: unknown, fallsBack = false): Promise<void> {
    if (this.#isRecorded) return
    const failure = { ...describe(error), ...(fallsBack && { falls_back: true as const }) }
    if (!this.#charged && !this.wasSent) {
      const settled = this.#parts.ledger.release(this.#hold, { status: failure.status, code: failure.code })
      this.#recordFailure(settled, failure)
      return
    }
    if (!this.#charged) await this.charge(this.reader?.usage(), this.reader?.deliveredText ?? '', failure.status)
    this.#recordFailure(this.#charged!.settled, failure)
  }

  #recordFailure(settled: Settled, { code, message, status, retryable, ...more }: Failure): void {
    const { call } = this
    this.#isRecorded = true
    this.#parts.state.record(
      {
        type: 'call.failed',
        level: 'WARN',
        agent_id: call.caller.agentId,
        message: `${call.model} failed: ${message}${settled.cost ? ` · ${showUsd(toUsd(settled.cost))} charged` : ''}`,
        data: {
          call_id: call.id,
          provider: call.provider.name,
          model: call.model,
          code,
          status,
          cost_usd: toUsd(settled.cost),
          estimated: this.#charged?.estimated ?? false,
          latency_ms: this.#elapsedMs(),
          ...this.#waited(),
          retryable,
          ...more,
          ...settled.paidBy,
        },
      },
      settled.write,
    )
  }

  #settle(cost: Nanodollars, usage: Usage, estimated: boolean, status: number): void {
    const code = this.#isOverrun(cost) ? 'overrun' : null
    const settled = this.#parts.ledger.charge(this.#hold, {
      cost,
      estimated,
      status,
      code,
      usage,
      price: appliedRates(this.#price, usage),
    })
    this.#charged = { settled, usage, estimated }
  }

  /** The provider says more than the bound allows: it is charged, for the money is gone, and shown. */
  #isOverrun(cost: Nanodollars): boolean {
    return cost > this.#hold.most
  }

  /** What the same usage costs on the baseline model, when this was a cheaper one; null otherwise. */
  async #baselineOf(usage: Usage, cost: Nanodollars): Promise<Usd | null> {
    const { baseline, prices } = this.#parts
    if (!baseline || baseline === this.call.model) return null
    const price = await prices.get(this.call.provider.name, baseline).catch(() => null)
    const nanos = price ? costOf(price, usage) : 0
    return nanos > cost ? toUsd(nanos) : null
  }

  #waited(): { waited_ms?: number } {
    return this.waitedMs === 0 ? {} : { waited_ms: this.waitedMs }
  }

  #elapsedMs(): number {
    return Math.round(this.#parts.clock.monotonic() - this.#startedAt)
  }
}

/** The body to send. */
function writeBody(
  { format, body, stream, isLarge }: LlmCall,
  clampTo: number | null,
  toolUses: number | null,
): string | Promise<Buffer> {
  const prepared = format.prepare(body, stream, clampTo, toolUses)
  return isLarge ? writeLargeJson(prepared) : JSON.stringify(prepared)
}

/** A price with what the provider has said of this very call. */
const limited = (price: Price, { outputLimit }: LlmCall): Price =>
  outputLimit === undefined ? price : { ...price, outputLimit: Math.min(outputLimit, price.outputLimit ?? outputLimit) }

function describe(error: unknown): Failure {
  if (error instanceof ClientGone) return { code: 'client_gone', message: error.message, status: 499, retryable: false }
  const { code, message, row, facts } = asCageError(error)
  const circuit = code === 'circuit_open' ? { circuit: String(facts.circuit) } : {}
  return { code, message, status: row.status, retryable: row.retry ?? false, ...circuit }
}

const NOTHING_CACHED = { cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0 }

/** From here on an answer is long. */
const SUSPICIOUS_CHARACTERS = 2_000
