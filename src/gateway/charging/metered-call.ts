/**
 * A call that holds money, from the hold to its end. The order is: assess the cost, then decide whether the reply may
 * pass, then end the call. Both ends, `completed` and `failed`, charge exactly that cost, so that a withheld reply is
 * still paid for; its hold ends once (`open-hold.ts`).
 */

import type { Price } from '../../budget/price.ts'
import { appliedRates, costOf } from '../../budget/prices.ts'
import type { Answered } from '../../budget/trust.ts'
import type { NewEvent } from '../../core/events.ts'
import { max, toUsd, type Usd, ZERO_NANOS } from '../../core/money.ts'
import type { ReportedUsage, StreamReader } from '../../dialects/dialect.ts'
import { type Delivered, deliveredText } from '../bodies/answer.ts'
import type { LlmCall } from '../call.ts'
import { AttemptLog } from '../provider/attempt-log.ts'
import type { ClientConnection } from '../provider/client.ts'
import { type AbandonedAnswer, abandonedCost } from './abandoned.ts'
import {
  clampedEvent,
  completedEvent,
  cutEvent,
  type Failure,
  failedEvent,
  failureOf,
  fallbackEvent,
  type Timing,
} from './call-events.ts'
import { type Claim, claimOf, learnedFrom } from './claim.ts'
import { holdCall, type Meter, type PricedCall } from './priced-call.ts'
import { usageOf } from './usage.ts'

/** How a call ended that has no complete answer. */
export interface Ending {
  /** Another model is tried next. */
  fallsBack: boolean
  /** The call was ended on this side; the client had not read all that it was sent. */
  abandoned: Pick<AbandonedAnswer, 'isBehind'> | undefined
}

/** An error in a stream, with the status that it would have as an answer. */
interface RefusedStream {
  status: number
  isRetryable: boolean
  message: string
}

/** The cost of a response, and what its row records. */
interface Assessed {
  claim: Claim
  status: number
  /** Undefined for a response that nothing is learned from. */
  learned: Answered | undefined
}

/** In the row's price: the charge is not by delivered tokens. */
const MAXIMUM = 'the most an abandoned call can cost'

export class MeteredCall {
  readonly call: LlmCall
  /** The body to send, with usage requested and output limited. */
  body: string | Buffer = ''
  /** True once the provider may have received the request: from then on the call may cost money. */
  wasSent = false
  /** Time waited because the provider requested it, in ms. */
  waitedMs = 0
  /** The requests that are sent for it. */
  readonly attempts: AttemptLog
  /** The response being streamed. */
  reader: StreamReader | undefined
  /** Its delivered part. */
  delivered: () => Delivered = () => deliveredText('')
  /** The model that the response names, if any. */
  answeredBy: string | undefined
  readonly #meter: Meter
  readonly #priced: PricedCall
  readonly #startedAt: number
  #firstByteMs: number | null = null
  #assessed: Assessed | undefined

  /** Throws what `holdCall` throws, and the signal's reason; then nothing is held and nothing was sent. */
  static async begin(
    meter: Meter,
    call: LlmCall,
    client: Pick<ClientConnection, 'signal' | 'cancel'>,
  ): Promise<MeteredCall> {
    const startedAt = meter.clock.monotonic()
    const priced = await holdCall(meter, call, client)
    const open = new MeteredCall(meter, call, priced, startedAt)
    call.trace.calls += 1
    try {
      open.body = await priced.write()
    } catch (error) {
      await open.failed(error, { fallsBack: false, abandoned: undefined })
      throw error
    }
    if (open.clampedTo !== null) meter.state.record(clampedEvent(call, open.clampedTo))
    return open
  }

  private constructor(meter: Meter, call: LlmCall, priced: PricedCall, startedAt: number) {
    this.#meter = meter
    this.call = call
    this.#priced = priced
    this.#startedAt = startedAt
    this.attempts = new AttemptLog(meter.clock, startedAt)
  }

  sawFirstByte(): void {
    this.#firstByteMs ??= this.#elapsedMs()
  }

  get hasFirstByte(): boolean {
    return this.#firstByteMs !== null
  }

  /** The token limit that was added to the request; null when the client's own applies. */
  get clampedTo(): number | null {
    return this.#priced.bound.clampTo
  }

  /** The limit of uses that was added to each of the provider's own tools. */
  get clampedToolUses(): number | null {
    return this.#priced.bound.toolUses
  }

  /** The cost of the call, once known. */
  get cost(): Usd {
    return toUsd(this.#assessed?.claim.cost ?? ZERO_NANOS)
  }

  /** The rest of the agent's budget. */
  get remaining(): Usd {
    return toUsd(this.#priced.hold.remaining)
  }

  /**
   * Decides the cost: from the usage that the provider reports, or else from the delivered tokens. In that case request
   * and `delivered` are counted by tokenizer: at most the hold, never nothing.
   */
  async assess(reported: ReportedUsage | undefined, delivered: Delivered, status: number): Promise<void> {
    const { claim } = await this.#claim(reported, delivered)
    if (reported?.isFinal && reported.stored) {
      const { input, output, unknownTokens = 0 } = claim.usage
      this.#meter.money.stored.add(this.call.provider.name, reported.stored, input + output + unknownTokens)
    }
    this.#assessed = { claim, status, learned: learnedFrom(this.call, this.#priced, claim) }
  }

  /** Another call is made for the same request; the records refer to each other. */
  isFollowed(): void {
    this.call.trace.firstId ??= this.call.id
  }

  /** Charges and records an answered call. Call `assess` first. */
  async completed(status: number, redactions: number): Promise<void> {
    const { claim } = this.#assessed!
    const baselineUsd = await this.#baselineOf(claim)
    const { paidBy } = this.#priced.hold
    const timing = this.#timing()
    const firstByteMs = this.#firstByteMs
    const completion = { claim, paidBy, baselineUsd, status, redactions, timing, firstByteMs }
    const charged = this.#charge(this.#assessed!, completedEvent(this.call, completion))
    if (this.clampedTo !== null && claim.usage.output >= this.#priced.bound.outputTokens)
      this.#meter.state.record(cutEvent(this.call, this.clampedTo))
    if (this.call.fallbackFrom) this.#meter.state.record(fallbackEvent(this.call, this.call.fallbackFrom))
    await charged
  }

  /** Ends a call that the provider refused, at no cost. */
  refused(status: number, retryable: boolean): Promise<void> {
    const message = `${this.call.provider.name} answered ${status}`
    return this.#release({ code: 'provider_refused', message, status, retryable })
  }

  /** Ends a call whose stream ended with an error of the provider: its delivered or reported usage is charged. */
  async brokenOff({ status, isRetryable: retryable, message }: RefusedStream): Promise<void> {
    if (this.reader?.deliveredText === '' && !this.reader.usage()?.isFinal) return this.refused(status, retryable)
    const failure = { code: 'provider_refused', message, status, retryable }
    const assessed = await this.#assessBroken(status, undefined)
    await this.#charge(assessed, this.#failed(failure, assessed.claim))
  }

  /** Ends a call that broke at any point: releases the hold when nothing was sent, otherwise charges it. */
  async failed(error: unknown, { fallsBack, abandoned }: Ending): Promise<void> {
    if (this.#priced.hold.hasEnded) return
    const failure: Failure = { ...failureOf(error), ...(fallsBack && { falls_back: true as const }) }
    if (!this.#assessed && !this.wasSent) return this.#release(failure)
    const assessed = this.#assessed ?? (await this.#assessBroken(failure.status, abandoned))
    await this.#charge(assessed, this.#failed(failure, assessed.claim))
  }

  /** Decides the cost of an answer without an end, from which nothing but an overrun is learned about the model. */
  async #assessBroken(status: number, abandoned: Ending['abandoned']): Promise<Assessed> {
    const { call, reader } = this
    const { claim, isReported } = await this.#claim(reader?.usage(), this.delivered())
    if (claim.isOverrun) return { claim, status, learned: learnedFrom(call, this.#priced, claim) }
    const answered = abandoned && { ...abandoned, hasBegun: reader !== undefined }
    const least = answered && !isReported ? abandonedCost(call, this.#priced, answered) : undefined
    if (least === undefined) return { claim, status, learned: undefined }
    const remarks = { ...claim.remarks, charged: MAXIMUM }
    return { claim: { ...claim, cost: max(claim.cost, least), estimated: true, remarks }, status, learned: undefined }
  }

  async #claim(
    reported: ReportedUsage | undefined,
    delivered: Delivered,
  ): Promise<{ claim: Claim; isReported: boolean }> {
    const measured = await usageOf(this.call, this.#priced, reported, delivered)
    const claim = claimOf(this.call, this.#priced, measured, delivered, await this.#otherPrice())
    return { claim, isReported: measured.isReported }
  }

  #charge({ claim, status, learned }: Assessed, event: NewEvent): Promise<void> {
    const { cost, estimated, usage, price, isOverrun, remarks } = claim
    const { hold, admission } = this.#priced
    const code = isOverrun ? 'overrun' : null
    const rates = { ...appliedRates(price, usage), ...remarks }
    const charge = { cost, estimated, status, code, usage, price: rates }
    const charged = hold.charge(charge, event)
    admission.end(learned)
    return charged
  }

  #release(failure: Failure): Promise<void> {
    const { hold, admission } = this.#priced
    const { status, code } = failure
    const released = hold.release({ status, code }, this.#failed(failure, undefined))
    admission.end()
    return released
  }

  #failed(failure: Failure, claim: Claim | undefined): NewEvent {
    return failedEvent(this.call, failure, { claim, paidBy: this.#priced.hold.paidBy, timing: this.#timing() })
  }

  /** Returns the price of the answering model if it is another one with a price; null if its price is not known. */
  async #otherPrice(): Promise<Price | null | undefined> {
    const { answeredBy, call } = this
    if (answeredBy === undefined || answeredBy === call.model) return undefined
    const price = await this.#meter.money.prices.get(call.provider.name, answeredBy).catch(() => null)
    // A configured price is what this name costs here, under any name of the server.
    return this.#priced.price.source === 'config' && price?.source !== 'config' ? undefined : price
  }

  /** Returns the cost of the same usage on the baseline model, if this one was cheaper; else null. */
  async #baselineOf({ usage, cost }: Claim): Promise<Usd | null> {
    const { baseline, prices } = this.#meter.money
    if (!baseline || baseline === this.call.model) return null
    const price = await prices.get(this.call.provider.name, baseline).catch(() => null)
    const nanos = price ? costOf(price, usage) : ZERO_NANOS
    return nanos > cost ? toUsd(nanos) : null
  }

  #timing(): Timing {
    const waited = this.waitedMs === 0 ? {} : { waited_ms: this.waitedMs }
    return { latency_ms: this.#elapsedMs(), ...waited, ...this.attempts.view }
  }

  #elapsedMs(): number {
    return Math.round(this.#meter.clock.monotonic() - this.#startedAt)
  }
}
