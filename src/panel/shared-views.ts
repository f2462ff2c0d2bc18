/**
 * The fleet of an organization, read once for all who ask for it at the same time: a page asks every second, and there
 * may be many. A caller gets a value read after its request, and a second of reading is followed by one for everything
 * else.
 */
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Clock } from '../core/clock.ts'

const compress = promisify(gzip)

/** The same view and JSON for all who asked, and compressed once for all who take that. */
export class SharedText<View extends object> {
  readonly view: View
  readonly text: string
  #gzipped: Promise<Buffer<ArrayBuffer>> | undefined

  constructor(view: View) {
    this.view = view
    this.text = JSON.stringify(view)
  }

  gzipped(): Promise<Buffer<ArrayBuffer>> {
    // A slower level saves few of the bytes sent each second.
    this.#gzipped ??= compress(this.text, { level: 1 })
    return this.#gzipped
  }
}

interface Reading<View extends object> {
  /** Begins after everybody who waits for it has asked. */
  next: Promise<SharedText<View>> | undefined
  current: Promise<unknown>
  /** When the last one ended, and how long it took, in ms. */
  endedAt: number
  tookMs: number
}

export class SharedViews<View extends object> {
  readonly #clock: Clock
  readonly #read: (organizationId: string) => Promise<View>
  readonly #readings = new Map<string, Reading<View>>()

  constructor(clock: Clock, read: (organizationId: string) => Promise<View>) {
    this.#clock = clock
    this.#read = read
  }

  /** Rejects like `read`. */
  view(organizationId: string): Promise<SharedText<View>> {
    const reading = this.#readings.get(organizationId) ?? {
      ...{ next: undefined, current: Promise.resolve(), endedAt: Number.NEGATIVE_INFINITY, tookMs: 0 },
    }
    this.#readings.set(organizationId, reading)
    reading.next ??= this.#begin(organizationId, reading)
    return reading.next
  }

  async #begin(organizationId: string, reading: Reading<View>): Promise<SharedText<View>> {
    await reading.current
    const rest = reading.endedAt + reading.tookMs - this.#clock.monotonic()
    if (rest > 0) await this.#clock.sleep(rest)
    reading.next = undefined
    const began = this.#clock.monotonic()
    const read = this.#read(organizationId).then((view) => new SharedText(view))
    reading.current = read.then(
      () => undefined,
      () => undefined,
    )
    try {
      return await read
    } finally {
      reading.endedAt = this.#clock.monotonic()
      reading.tookMs = reading.endedAt - began
    }
  }
}
