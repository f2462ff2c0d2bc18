/**
 * A call that holds money, from the hold to its record. The order on the road is: charge, then judge the reply, then
 * record. Whatever goes wrong between, `failed` brings the call to its end: a hold ends exactly once, a call is recorded
 * exactly once, and what was charged is never taken back.
 */
import { countTokens } from '../budget/estimate.ts'
import type { Settled } from '../budget/ledger.ts'
import type { Price } from '../budget/price.ts'
import { appliedRates, costOf, maxCostOf } from '../budget/prices.ts'
import type { Clock } from '../clock.ts'
import { withoutImages } from '../dialects/demands.ts'
import type { ReportedUsage, StreamReader, Usage } from '../dialects/dialect.ts'
import { asCageError } from '../errors.ts'
import { type Nanodollars, showUsd, toUsd, type Usd } from '../money.ts'
import { showCount } from '../state/figures.ts'
import type { StateManager } from '../state/state-manager.ts'
import type { LlmCall } from './call.ts'
import { type Claim, claimOf, type Said } from './claim.ts'
import { type Client, ClientGone } from './client.ts'
import { holdCall, type PricedCall, type PricingParts } from './priced-call.ts'

export interface MoneyParts extends PricingParts {
  state: StateManager
  clock: Clock
  /** The model that cheaper ones are compared with; null for none. (config.budget.baseline) */
  baseline: string | null
}

interface Charged {
  settled: Settled
  usage: Usage
  estimated: boolean
  isOverrun: boolean
}

/** How a failed call is recorded. */
interface Failure {
  code: string
  message: string
  status: number
  retryable: boolean
  /** That of an open circuit. */
  circuit?: string
  falls_back?: true
}

export class MeteredCall {
  readonly call: LlmCall
  /** The body to send, with usage asked for and output limited. */
  readonly body: string | Buffer
  /** True from the moment in which the provider may have got the request: from then on it may cost money. */
  wasSent = false
  /** How long it waited because the provider asked for it, in ms. */
  waitedMs = 0
  /** The answer that is being streamed, for what was delivered of it. */
  reader: StreamReader | undefined
  /** The model that the answer names; undefined where it names none. */
  answeredBy: string | undefined
  readonly #parts: MoneyParts
  readonly #priced: PricedCall
  readonly #startedAt: number
  #firstByteMs: number | null = null
  #charged: Charged | undefined
  #isRecorded = false

  /** Throws what `holdCall` throws; nothing is held then and nothing was sent. */
  static async begin(
    parts: MoneyParts,
    call: LlmCall,
    client: Pick<Client, 'signal' | 'cancel'>,
  ): Promise<MeteredCall> {
    const startedAt = parts.clock.monotonic()
    const open = new MeteredCall(parts, call, await holdCall(parts, call, client), startedAt)
    if (open.clampedTo !== null) open.#recordClamp(open.clampedTo)
    return open
  }

  private constructor(parts: MoneyParts, call: LlmCall, priced: PricedCall, startedAt: number) {
    this.#parts = parts
    this.call = call
    this.#priced = priced
    this.body = priced.body
    this.#startedAt = startedAt
  }

  sawFirstByte(): void {
    this.#firstByteMs ??= this.#elapsedMs()
  }

  get hasFirstByte(): boolean {
    return this.#firstByteMs !== null
  }

  /** The same reader, which looks for the model that answers. */
  watched(reader: StreamReader): StreamReader {
    return {
      read: (frame) => {
        const name = this.answeredBy === undefined ? MODEL_IN_FRAME.exec(frame.data)?.[1] : undefined
        if (name !== undefined) this.answeredBy = name
        return reader.read(frame)
      },
      usage: () => reader.usage(),
      get isFinished() {
        return reader.isFinished
      },
      get deliveredText() {
        return reader.deliveredText
      },
    }
  }

  /** The limit that was put on the answer, in tokens; null when the client's own stands. */
  get clampedTo(): number | null {
    return this.#priced.bound.clampTo
  }

  /** The limit of uses that was put on each of the provider's own tools. */
  get clampedToolUses(): number | null {
    return this.#priced.bound.toolUses
  }

  /** What the call cost, once it is charged. */
  get cost(): Usd {
    return toUsd(this.#charged?.settled.cost ?? 0)
  }

  /** What is left of the agent's budget. */
  get remaining(): Usd {
    return toUsd(this.#parts.ledger.accounts.available(this.#priced.hold))
  }

  /**
   * Charges what the provider says it used, or what was delivered when it did not say: then request and `delivered` are
   * counted by tokenizer, at most the hold, never nothing. `isBroken`: the answer has no end, and nothing is learned of
   * how the model obeys.
   */
  async charge(
    reported: ReportedUsage | undefined,
    delivered: string,
    status: number,
    isBroken = false,
  ): Promise<void> {
    const isReported = reported?.isFinal && !this.#isSuspicious(reported.usage, delivered)
    // Searches that no reply reports are made all the same.
    const { searches } = this.call.demands
    const unsaid = searches > 0 ? { previewSearches: searches } : {}
    const said: Said = isReported
      ? { ...reported, usage: { ...unsaid, ...reported.usage }, isReported }
      : { usage: { ...unsaid, ...(await this.#unsaidUsage(reported, delivered)) }, isReported: false }
    const answeredBy = await this.#otherPrice()
    const claim = claimOf(this.call, this.#priced, said, delivered, answeredBy)
    this.#settle(claim, status, isBroken)
  }

  /** The price of the model that answered, where it is another one with a price; null where that is not known. */
  async #otherPrice(): Promise<Price | null | undefined> {
    const { answeredBy, call } = this
    if (answeredBy === undefined || answeredBy === call.model) return undefined
    const price = await this.#parts.prices.get(call.provider.name, answeredBy).catch(() => null)
    // A price that was configured is what this name costs here, whatever the server calls it.
    return this.#priced.price.source === 'config' && price?.source !== 'config' ? undefined : price
  }

  /** What was used, as far as it can be known when the provider did not say. */
  async #unsaidUsage(reported: ReportedUsage | undefined, delivered: string): Promise<Usage> {
    const { model } = this.call
    return {
      ...NOTHING_CACHED,
      ...reported?.usage,
      ...this.#unsaidSearches(),
      input: await this.#unsaidInput(reported),
      output: Math.max(reported?.usage.output ?? 0, await countTokens(delivered, model)),
    }
  }

  /** What was read, when the provider did not say, or not for the last time: what cannot be counted is taken for the most. */
  async #unsaidInput(reported: ReportedUsage | undefined): Promise<number> {
    const { body, model, demands, isLarge } = this.call
    // To count the tokens of so much would hold up everybody.
    if (demands.serverTools || ((demands.isInputUnseen || isLarge) && !reported)) return this.#priced.bound.inputTokens
    return (
      reported?.usage.input ?? (await countTokens(withoutImages(body), model)) + demands.images * demands.imageTokens
    )
  }

  /** The provider's own tools ran as often as they might have. */
  #unsaidSearches(): Pick<Usage, 'webSearches'> {
    const { serverTools } = this.call.demands
    return serverTools
      ? { webSearches: serverTools.count * (serverTools.uses ?? this.#priced.bound.toolUses ?? 0) }
      : {}
  }

  /** No output is not believed of a long answer, where output costs anything. */
  #isSuspicious({ output }: Usage, delivered: string): boolean {
    return output === 0 && delivered.length > SUSPICIOUS_CHARACTERS && this.#priced.price.output.base > 0
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
    const { settled, usage, estimated, isOverrun } = this.#charged!
    const baselineUsd = await this.#baselineOf(usage, settled.cost)
    const { call } = this
    const cost = toUsd(settled.cost)
    const remark = isOverrun ? ' (more than it could cost)' : estimated ? ' (estimated)' : ''
    this.#isRecorded = true
    const recorded = this.#parts.state.recordBatched(
      {
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
    if (call.fallbackFrom) this.#recordFallback(call.fallbackFrom)
    await recorded
  }

  #recordFallback({ provider, model, why }: NonNullable<LlmCall['fallbackFrom']>): void {
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
    const settled = this.#release({ status, code: 'provider_refused' })
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
      const settled = this.#release({ status: failure.status, code: failure.code })
      this.#recordFailure(settled, failure)
      return
    }
    if (!this.#charged) await this.charge(this.reader?.usage(), this.reader?.deliveredText ?? '', failure.status, true)
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

  #release(end: { status: number; code: string }): Settled {
    const { hold, admission } = this.#priced
    const settled = this.#parts.ledger.release(hold, end)
    admission.end()
    return settled
  }

  #settle(claim: Claim, status: number, isBroken: boolean): void {
    const { hold, admission, bound } = this.#priced
    const { cost, claimed, usage, price, estimated, isOverrun } = claim
    const settled = this.#parts.ledger.charge(hold, {
      cost,
      estimated,
      status,
      code: isOverrun ? 'overrun' : null,
      usage,
      price: { ...appliedRates(price, usage), ...claim.remarks },
    })
    this.#charged = { settled, usage, estimated, isOverrun }
    const { id: callId, caller, answers } = this.call
    const costOfTokens = (input: number, output: number) => maxCostOf(price, input, output) - maxCostOf(price, 0, 0)
    const slack = costOfTokens(0, SLACK_TOKENS * Math.min(answers, MAX_ANSWERS))
    const tokens = Math.max(0, usage.input - bound.inputTokens)
    const added = { tokens, cost: costOfTokens(tokens, 0) }
    const answered = { agentId: caller.agentId, callId, bound: Math.max(1, bound.maxCost), slack, added, claimed }
    admission.end(isBroken && !isOverrun ? undefined : answered)
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

function describe(error: unknown): Failure {
  if (error instanceof ClientGone) return { code: 'client_gone', message: error.message, status: 499, retryable: false }
  const { code, message, row, facts } = asCageError(error)
  const circuit = code === 'circuit_open' ? { circuit: String(facts.circuit) } : {}
  return { code, message, status: row.status, retryable: row.retry ?? false, ...circuit }
}

const NOTHING_CACHED = { cachedInput: 0, cacheWrite: 0, cacheWriteHour: 0 }

/** Also within the response or message of a first event. */
const MODEL_IN_FRAME = /^[^[]{0,2000}?"model"\s*:\s*"([^"\\]{1,200})"/

/** An end mark, and a token that was begun: of each answer. */
const SLACK_TOKENS = 2
/** More answers do not make more slack. */
const MAX_ANSWERS = 100

/** From here on an answer is long. */
const SUSPICIOUS_CHARACTERS = 2_000
