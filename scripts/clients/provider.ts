/**
 * The provider behind every client of the matrix. It answers by the cell that the prompt names, in the format of the
 * path, and refuses the same requests as the real one.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Turn } from '../../test/conformance/turn.ts'
import { FakeProvider, type Received, type Script, sends } from '../../test/support/provider.ts'
import { answers } from './answers.ts'
import type { Answers, Vendor } from './clients.ts'
import { failure, JSON_TYPE, refusalOf } from './refusals.ts'

const LEAK = 'Ask jane.canary@northwind-traders.com for help.'
const CALL: Turn = { calls: [{ name: 'warmth', arguments: ['{"city": ', '"Oslo"}'] }] }
const WARM: Turn = { text: ['Oslo ', '4 degrees.'] }
/** More than connections buffer: a client that leaves does so before its end. */
const ENDLESS: Turn = { text: Array(60_000).fill('One more word, and another one. ') }

/** What happened in one cell. */
export interface Seen {
  requests: number
  /** When the client left a stream before its end, in ms since 1970. */
  leftAt?: number
}

/** Where a program waits, after it left a stream, until that is seen here. */
export const LEFT = '/matrix/left'
/** A client that has not left after this stays until its process ends, in ms. */
const MAX_WAIT_MS = 15_000

export class MatrixProvider implements AsyncDisposable {
  readonly seen = new Map<string, Seen>()
  readonly #left = Promise.withResolvers<void>()
  readonly #provider: FakeProvider

  private constructor(provider: FakeProvider, vendor: Vendor, answering: Answers) {
    this.#provider = provider
    provider.does(this.#answer(vendor, answering))
  }

  static async open(vendor: Vendor, answering: Answers): Promise<MatrixProvider> {
    return new MatrixProvider(await FakeProvider.open(), vendor, answering)
  }

  get url(): string {
    return this.#provider.url
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#provider.close()
  }

  #answer(vendor: Vendor, answering: Answers): Script {
    return async (response, received) => {
      if (received.url === LEFT) {
        await Promise.race([this.#left.promise, sleep(MAX_WAIT_MS, undefined, { ref: false })])
        return sends(204, {}, '')(response)
      }
      const refusal = await refusalOf(vendor, received)
      if (refusal) return refusal(response, received)
      const cell = CELL.exec(received.body)?.[1]
      if (!cell) return answers({ text: ['Hello.'] })(response, received)
      const seen = this.seen.get(cell) ?? { requests: 0 }
      this.seen.set(cell, seen)
      seen.requests += 1
      if (cell === '402') return sends(402, JSON_TYPE, failure('insufficient_quota'))(response)
      if (cell === '429' && seen.requests === 1) return sends(429, BUSY, failure('rate_limit_exceeded'))(response)
      if (cell === 'cancel') {
        received.hungUp.then((left) => {
          if (!left) return
          seen.leftAt = Date.now()
          this.#left.resolve()
        })
        return answers(ENDLESS)(response, received)
      }
      return answers(turnOf(cell, received, answering))(response, received)
    }
  }
}

const CELL = /cell (whole|streamed|tools|402|429|cancel)\b/
const BUSY = { ...JSON_TYPE, 'retry-after': '1', 'x-amzn-errortype': 'ThrottlingException' }

function turnOf(cell: string, { body }: Received, { says = (text) => text, calls = CALL, ends = WARM }: Answers): Turn {
  if (cell !== 'tools') return { text: pieces(says(LEAK)) }
  return body.includes('4 degrees in Oslo') ? ends : calls
}

/** In such pieces that an address is cut. */
const pieces = (text: string): string[] => text.match(/.{1,11}/gs) ?? []
