/**
 * What changes on the panel reaches runtimes at once: each waits with a request until there is something new for it, on
 * whichever process of the panel it is connected to.
 *
 * The rules are:
 * - The answer is the whole state, never a difference: a lost, repeated or late one changes nothing.
 * - A process that receives no change answers after a while anyway, so that a lost notification delays, and no more.
 * - Waiting holds no connection to the database.
 */
import { hash } from 'node:crypto'
import { type Batch, lookup } from '../../core/batch.ts'
import type { Clock } from '../../core/clock.ts'
import type { ControlAnswer, ControlState } from '../../protocol/control-messages.ts'
import type { Member } from '../access/credentials.ts'
import { revokedRuntime } from '../bank/bank.ts'
import type { PanelDatabase } from '../db/database.ts'
import type { Orders } from './orders.ts'
import { findPolicy, policyState } from './policies.ts'
import { type PanelSecrets, secretsState } from './secrets.ts'

/** How long a request without news waits, in ms. */
export const HOLD_MS = 20_000

export interface ControlOptions {
  database: PanelDatabase
  clock: Clock
  orders: Orders
  secrets: PanelSecrets
}

export class Control {
  readonly #options: ControlOptions
  /** What wakes requests that wait, by organization. */
  readonly #waiting = new Map<string, Set<() => void>>()
  /** By organization. */
  readonly #states = new Map<string, Batch<string, ControlState | undefined>>()
  readonly #stop: () => void
  #isClosed = false

  constructor(options: ControlOptions) {
    this.#options = options
    this.#stop = options.database.listen((organizationId) => this.#wake(organizationId))
  }

  /**
   * Answers when the state of the runtime is another one than `known`, or after a while. Throws CageError
   * `runtime_revoked`.
   */
  async next(member: Member, known: string | undefined, signal: AbortSignal): Promise<ControlAnswer> {
    const timeout = this.#timeout(signal)
    try {
      for (;;) {
        // First: what changes while the state is read wakes this request too.
        const changed = this.#nextChange(member.organizationId, timeout.signal)
        const state = await this.#stateOf(member)
        const revision = hash('sha256', JSON.stringify(state)).slice(0, 32)
        if (revision !== known || timeout.signal.aborted || this.#isClosed) return { ...state, revision }
        await changed
      }
    } finally {
      timeout.end()
    }
  }

  /** Answers all that wait. */
  close(): void {
    this.#isClosed = true
    this.#stop()
    this.#wake(undefined)
  }

  /** `organizationId`: undefined for all. */
  #wake(organizationId: string | undefined): void {
    const concerned =
      organizationId === undefined ? [...this.#waiting.values()] : [this.#waiting.get(organizationId) ?? new Set()]
    for (const waiting of concerned) for (const wake of [...waiting]) wake()
  }

  /** Resolves at the next change, or when `signal` fires. */
  #nextChange(organizationId: string, signal: AbortSignal): Promise<void> {
    const waiting = this.#waiting.get(organizationId) ?? new Set()
    this.#waiting.set(organizationId, waiting)
    const { promise, resolve } = Promise.withResolvers<void>()
    const wake = () => {
      waiting.delete(wake)
      if (waiting.size === 0 && this.#waiting.get(organizationId) === waiting) this.#waiting.delete(organizationId)
      signal.removeEventListener('abort', wake)
      resolve()
    }
    waiting.add(wake)
    signal.addEventListener('abort', wake)
    return promise
  }

  /** Fires when the request has waited long enough, with `signal`, or at its end. */
  #timeout(signal: AbortSignal): { signal: AbortSignal; end: () => void } {
    const own = new AbortController()
    const end = () => {
      timer.cancel()
      own.abort()
    }
    const timer = this.#options.clock.after(HOLD_MS, end).unref()
    return { signal: AbortSignal.any([own.signal, signal]), end }
  }

  async #stateOf({ organizationId, id }: Member): Promise<ControlState> {
    const states = this.#states.get(organizationId) ?? lookup((ids) => this.#statesOf(organizationId, ids))
    this.#states.set(organizationId, states)
    const state = await states.add(id)
    if (!state) throw revokedRuntime()
    return state
  }

  /** In one transaction for all that ask: a thousand runtimes do three times a minute each, and at once after each change. */
  #statesOf(organizationId: string, ids: readonly string[]): Promise<Map<string, ControlState>> {
    const { database, orders, secrets } = this.#options
    const { isIn } = database.dialect
    return database.within(organizationId, async (sql) => {
      const of = <Row>(rows: string, keys: readonly string[]) =>
        sql.rows<Row>(rows, [organizationId, JSON.stringify(keys)])
      const runtimes = await of<{ id: string; environments: string; path: string }>(
        `SELECT id, environments, path FROM runtimes
         WHERE organization_id = $1 AND revoked_at IS NULL AND ${isIn('id', '$2')}`,
        ids,
      )
      const paths = new Map(runtimes.map(({ id, path }) => [id, JSON.parse(path) as string[]]))
      const budgets = await of<{ id: string; limit_nanos: number }>(
        `SELECT id, limit_nanos FROM budgets WHERE organization_id = $1 AND ${isIn('id', '$2')} ORDER BY id`,
        [...new Set([...paths.values()].flat())],
      )
      const pending = await orders.pending(sql, organizationId)
      const versions = await secrets.versions(sql, organizationId)
      const policy = await findPolicy(sql, organizationId)
      const stateOf = ({ id, environments }: (typeof runtimes)[number]): ControlState => {
        const allowed = JSON.parse(environments) as string[]
        const own = budgets.filter((budget) => paths.get(id)!.includes(budget.id))
        return {
          orders: pending.get(id) ?? [],
          limits: own.map(({ limit_nanos }) => limit_nanos).join(' '),
          secrets: secretsState(versions, allowed),
          policy: policyState(policy, allowed),
        }
      }
      return new Map(runtimes.map((runtime) => [runtime.id, stateOf(runtime)]))
    })
  }
}
