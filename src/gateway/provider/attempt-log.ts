/** The requests that one call sent, as its event lists them. */
import type { Clock } from '../../core/clock.ts'
import { CircuitOpenError } from '../../core/errors.ts'
import type { AttemptView } from '../../core/events.ts'

/** More happen only while a provider asks for many short waits. */
const MAX_LISTED = 20

export class AttemptLog {
  readonly #clock: Clock
  /** When the call began, monotonic ms. */
  readonly #startedAt: number
  readonly #attempts: AttemptView[] = []

  constructor(clock: Clock, startedAt: number) {
    this.#clock = clock
    this.#startedAt = startedAt
  }

  /**
   * Lists the attempt once it has ended. A request that a circuit refused is none. `refusalOf`: the status of an
   * error's response.
   */
  async time<T extends { status: number }>(
    attempt: () => Promise<T>,
    refusalOf: (error: unknown) => { status: number } | undefined,
  ): Promise<T> {
    const sentAt = this.#clock.monotonic()
    try {
      const answer = await attempt()
      this.#add(sentAt, answer.status, null)
      return answer
    } catch (error) {
      if (!(error instanceof CircuitOpenError)) {
        this.#add(sentAt, refusalOf(error)?.status ?? null, (error as Error).message)
      }
      throw error
    }
  }

  /** For the data of an event: nothing for a single attempt. */
  get view(): { attempts?: AttemptView[] } {
    return this.#attempts.length > 1 ? { attempts: this.#attempts } : {}
  }

  #add(sentAt: number, status: number | null, reason: string | null): void {
    if (this.#attempts.length >= MAX_LISTED) return
    const [after_ms, latency_ms] = [sentAt - this.#startedAt, this.#clock.monotonic() - sentAt].map(Math.round)
    this.#attempts.push({ after_ms: after_ms!, latency_ms: latency_ms!, status, reason })
  }
}
