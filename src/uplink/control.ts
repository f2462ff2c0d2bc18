/**
 * The Control Panel's requests to this runtime: a request that waits there for news. Nothing here is awaited by an
 * agent or a call.
 *
 * The rules are:
 * - Each answer is the whole state, so that a lost one is made up for by the next.
 * - An order is carried out once, however often it arrives, and its outcome is sent until the panel has it.
 * - An answer in another form changes nothing. After a failure the next request waits, twice as long each time.
 */
import * as z from 'zod'
import { backoffMs } from '../core/backoff.ts'
import type { Clock } from '../core/clock.ts'
import { asCageError } from '../core/errors.ts'
import { toAgentId } from '../core/ids.ts'
import { BACKGROUND, RepeatingTask } from '../core/repeating-task.ts'
import type { ControlAnswer, Order, OrderOutcome, PolicyState } from '../protocol/control-messages.ts'
import type { StateManager } from '../state/state-manager.ts'
import { whenBack } from './when-back.ts'

/** Between an answer and the next request, in ms: a panel that always has news must not keep this process busy. */
const PAUSE_MS = 50
/** Orders in one answer. */
const MAX_ORDERS = 1_000

const policySettings = z.record(z.string(), z.unknown())

export const controlAnswer: z.ZodType<ControlAnswer> = z.object({
  revision: z.string().max(200),
  orders: z
    .array(
      z.object({
        id: z.string().max(200),
        agent_id: z.string().max(200),
        action: z.enum(['stop', 'pause', 'resume']),
        by: z.string().max(200),
      }),
    )
    .max(MAX_ORDERS),
  limits: z.string(),
  // A panel of an earlier version does not have all of them.
  secrets: z.string().default(''),
  policy: z
    .object({
      revision: z.number(),
      settings: policySettings.nullable(),
      environments: z.record(z.string(), policySettings).default({}),
    })
    .nullable()
    .default(null),
})

/** The panel as this part uses it; both reject with CageError, or for an answer of another form. */
export interface ControlPanel {
  next(known: string | undefined, signal: AbortSignal): Promise<ControlAnswer>
  answer(order: Order, outcome: OrderOutcome, signal: AbortSignal): Promise<void>
}

export interface ControlOptions {
  panel: ControlPanel
  state: Pick<StateManager, 'record' | 'subscribe'>
  clock: Clock
  /** Returns what became of the agent. Rejects with CageError. */
  obey: (order: Order) => Promise<string>
  /** A limit of the shared budgets has changed. */
  onLimits: () => void
  /** The secrets that this runtime may have are others than before, or those of the first answer. */
  onSecrets: () => void
  /** The policy that was kept; null for none. */
  policy: PolicyState | null
  /** The organization has another policy than the last one. */
  onPolicy: (policy: PolicyState) => void
}

export class Control {
  readonly #options: ControlOptions
  readonly #abort = new AbortController()
  readonly #task: RepeatingTask
  readonly #unsubscribe: () => void
  /** By id: those that are carried out, or whose outcome the panel may not have. */
  readonly #orders = new Map<string, Promise<void>>()
  #known: ControlAnswer | undefined
  /** As JSON, also of one that could not be used. */
  #policy: string

  constructor(options: ControlOptions) {
    this.#options = options
    this.#policy = JSON.stringify(options.policy)
    this.#task = new RepeatingTask(options.clock, () => this.#poll())
    this.#unsubscribe = whenBack(options.state, this.#task)
  }

  async close(): Promise<void> {
    this.#unsubscribe()
    this.#abort.abort()
    await this.#task.stop()
  }

  /** Returns the pause until the next request. */
  async #poll(): Promise<number> {
    const { panel, onLimits, onSecrets } = this.#options
    try {
      const answer = await panel.next(this.#known?.revision, this.#abort.signal)
      const before = this.#known
      this.#known = answer
      if (before !== undefined && before.limits !== answer.limits) onLimits()
      if (before?.secrets !== answer.secrets) onSecrets()
      if (answer.policy) this.#take(answer.policy)
      this.#hear(answer.orders)
      return PAUSE_MS
    } catch (error) {
      // The leases detect and report the loss.
      if (asCageError(error).code === 'runtime_revoked' && this.#task.failures === 0) onLimits()
      throw error
    }
  }

  #take(policy: PolicyState): void {
    const text = JSON.stringify(policy)
    if (text === this.#policy) return
    this.#policy = text
    this.#options.onPolicy(policy)
  }

  #hear(orders: readonly Order[]): void {
    const present = new Set(orders.map(({ id }) => id))
    // The panel has their outcome.
    for (const id of this.#orders.keys()) if (!present.has(id)) this.#orders.delete(id)
    for (const order of orders) if (!this.#orders.has(order.id)) this.#orders.set(order.id, this.#carryOut(order))
  }

  /** Never rejects. */
  async #carryOut(order: Order): Promise<void> {
    const { obey, state } = this.#options
    const { id: order_id, action, by } = order
    let outcome: OrderOutcome
    try {
      outcome = { ok: true, message: await obey(order) }
    } catch (error) {
      outcome = { ok: false, message: asCageError(error).message }
    }
    const { ok, message: result } = outcome
    state.record({
      type: 'agent.ordered',
      level: ok ? 'INFO' : 'WARN',
      agent_id: toAgentId(order.agent_id),
      message: `${by} asked through the Control Panel to ${action} ${order.agent_id}: ${result}`,
      data: { order_id, action, by, ok, result },
    })
    await this.#send(order, outcome)
  }

  async #send(order: Order, outcome: OrderOutcome): Promise<void> {
    const { panel, clock } = this.#options
    const { signal } = this.#abort
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        return await panel.answer(order, outcome, signal)
      } catch (error) {
        if (['not_found', 'runtime_revoked'].includes(asCageError(error).code)) return
      }
      await clock.sleep(backoffMs(failures, BACKGROUND), signal).catch(() => undefined)
    }
  }
}
