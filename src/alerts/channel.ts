/** Where alerts are sent, and one attempt to send one. */
import { backoffMs } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import type { AlertKind, Level } from '../core/events.ts'
import { showLatency } from '../core/units.ts'

/** An alert as it is sent. */
export interface SentAlert<Kind extends string = AlertKind> {
  id: string
  /** ISO 8601 UTC. */
  at: string
  kind: Kind
  level: Level
  title: string
  detail: string
  agent_id: string | null
  /** Null for an alert about no agent, or about one that is unknown by now. */
  agent_name: string | null
  /** Of a Control Panel. (Default: a runtime has none.) */
  organization?: string
}

/** "lead_gen_agent (lg-7a3f9c2d)"; null without an agent. */
export const agentText = ({ agent_id, agent_name }: SentAlert<string>): string | null =>
  agent_id && agent_name ? `${agent_name} (${agent_id})` : agent_id

/** A destination of alerts. */
export interface Channel<Kind extends string = AlertKind> {
  /** Its name in rows and events. Holds no address of a person and no secret. */
  readonly name: string
  /** The kinds of alerts it receives. */
  readonly kinds: readonly Kind[]
  /**
   * Resolves when the other side has taken the alert; stops its work when `signal` fires. Throws an Error whose message
   * may be shown to anyone, an `Undeliverable` when no further attempt could help.
   */
  deliver(alert: SentAlert<Kind>, signal: AbortSignal): Promise<void>
}

/** Thrown by a channel when retrying cannot help. */
export class Undeliverable extends Error {
  override readonly name = 'Undeliverable'
}

export interface RetryPolicy {
  attempts: number
  /** Time for one attempt, in ms. */
  attemptMs: number
  /** Time between the first two attempts, in ms; three times as long after each further one. */
  backoffMs: number
  /** Time that `close` gives due deliveries, in ms. */
  closeMs: number
}

/** Eight attempts within 37 minutes. */
export const RETRY_POLICY: RetryPolicy = { attempts: 8, attemptMs: 10_000, backoffMs: 2_000, closeMs: 2_000 }

/** How long to wait after so many attempts, in ms. */
export const waitMsAfter = (attempts: number, { backoffMs: firstMs }: RetryPolicy): number =>
  backoffMs(attempts, { firstMs, factor: 3 })

/** Why an attempt failed, in words for anyone. */
export interface Failure {
  why: string
  /** No further attempt could help. */
  isFinal: boolean
}

/** Returns undefined when the other side has taken the alert. Never rejects; ends soon after `signal` fires. */
export async function attemptDelivery<Kind extends string>(
  channel: Pick<Channel<Kind>, 'deliver'>,
  alert: SentAlert<Kind>,
  { clock, attemptMs, signal }: { clock: Clock; attemptMs: number; signal: AbortSignal },
): Promise<Failure | undefined> {
  const deadline = new AbortController()
  const timer = clock.after(attemptMs, () => deadline.abort()).unref()
  try {
    await channel.deliver(alert, AbortSignal.any([deadline.signal, signal]))
    return undefined
  } catch (error) {
    const why = deadline.signal.aborted ? `no answer within ${showLatency(attemptMs)}` : reasonOf(error)
    return { why, isFinal: error instanceof Undeliverable }
  } finally {
    timer.cancel()
  }
}

/** One bounded line. */
const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').slice(0, 200)
