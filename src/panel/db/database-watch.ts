/** Notices when PostgreSQL cannot be used, and when it can be used again: one line each. */
import type { Clock } from '../../core/clock.ts'
import { RepeatingTask } from '../../core/repeating-task.ts'
import type { PanelDatabase } from './database.ts'
import { reasonOf } from './open.ts'

const POLL_INTERVAL_MS = 1_000

export class DatabaseWatch {
  readonly #database: PanelDatabase
  readonly #onNotice: (text: string) => void
  readonly #task: RepeatingTask
  #isLost = false
  #isClosed = false
  /** One look at a time: an older one must not arrive after a later one. */
  #last: Promise<void> = Promise.resolve()

  constructor(database: PanelDatabase, clock: Clock, onNotice: (text: string) => void) {
    this.#database = database
    this.#onNotice = onNotice
    this.#task = new RepeatingTask(clock, async () => {
      await this.isUsable()
      return POLL_INTERVAL_MS
    })
  }

  /** Looks. Where PostgreSQL cannot be used, other failures need no separate line. Never rejects. */
  async isUsable(): Promise<boolean> {
    this.#last = this.#last.then(() => this.#look())
    await this.#last
    return !this.#isLost
  }

  async close(): Promise<void> {
    await this.#task.stop()
    this.#isClosed = true
    await this.#last
  }

  async #look(): Promise<void> {
    if (this.#isClosed) return
    const reason = await this.#database.system.rows('SELECT 1').then(() => undefined, reasonOf)
    if (this.#isLost === (reason !== undefined)) return
    this.#isLost = reason !== undefined
    this.#onNotice(
      this.#isLost
        ? `PostgreSQL cannot be used: ${reason}. Machines go on with what they were lent; nothing more is lent`
        : 'PostgreSQL can be used again',
    )
  }
}
