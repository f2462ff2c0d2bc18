/**
 * What changes on the panel reaches runtimes at once: each waits with a request until there is something new for it, on
 * whichever process of the panel it is connected to.
 *
 * The rules are:
 * - The answer is the whole state, never a difference: a lost, repeated or late one changes nothing.
 * - A process that hears of no change answers after a while anyway, so that a lost notification delays, and no more.
 * - Waiting holds no connection to the database.
 */
import { hash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { ControlAnswer, ControlState } from '../control-messages.ts'
import type { Member } from './credentials.ts'
import type { PanelDatabase, Sql } from './db/database.ts'
import type { Orders } from './orders.ts'
import type { Policies } from './policies.ts'
import { environmentsOf, type PanelSecrets } from './secrets.ts'

/** How long a request without news waits, in ms. */
export const HOLD_MS = 20_000

export interface ControlOptions {
  database: PanelDatabase
  clock: Clock
  orders: Orders
  secrets: PanelSecrets
  policies: Policies
}

export class Control {
  readonly #options: ControlOptions
  /** What wakes requests that wait, by organization. */
  readonly #waiting = new Map<string, Set<() => void>>()
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

  /** In one transaction: a thousand machines ask three times a minute each, and again after each change. */
  #stateOf(member: Member): Promise<ControlState> {
    const { database, orders, secrets, policies } = this.#options
    return database.within(member.organizationId, async (sql) => {
      const allowed = await environmentsOf(sql, member.organizationId, member.id)
      return {
        orders: await orders.pendingFor(sql, member),
        limits: await this.#limitsOf(sql, member),
        secrets: await secrets.stateFor(sql, member.organizationId, allowed),
        policy: await policies.stateFor(sql, member.organizationId, allowed),
      }
    })
  }

  async #limitsOf(sql: Sql, { organizationId, id }: Member): Promise<string> {
    const [runtime] = await sql.rows<{ path: string }>(
      'SELECT path FROM runtimes WHERE organization_id = $1 AND id = $2',
      [organizationId, id],
    )
    const budgets = await sql.rows<{ limit_nanos: number }>(
      `SELECT limit_nanos FROM budgets WHERE organization_id = $1 AND ${this.#options.database.dialect.isIn('id', '$2')} ORDER BY id`,
      [organizationId, runtime!.path],
    )
    return budgets.map(({ limit_nanos }) => String(limit_nanos)).join(' ')
  }
}
