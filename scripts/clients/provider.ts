/**
 * The provider behind every client of the matrix. It answers by the cell that the prompt names, in the format of the path,
 * and refuses what the real one refuses.
 */
import { plays } from '../../test/conformance/provider.ts'
import type { Turn } from '../../test/conformance/turn.ts'
import { FakeProvider, type Received, type Script, sends } from '../../test/support/provider.ts'
import { type Answers, keyOf, type Vendor } from './clients.ts'

const LEAK = 'Ask jane.canary@northwind-traders.com for help.'
const CALL: Turn = { calls: [{ name: 'warmth', arguments: ['{"city": ', '"Oslo"}'] }] }
const WARM: Turn = { text: ['Oslo ', '4 degrees.'] }
/** More than connections buffer: whoever leaves leaves before its end. */
const ENDLESS: Turn = { text: Array(60_000).fill('One more word, and another one. ') }

/** What happened in one cell. */
export interface Seen {
  requests: number
  /** When the client left a stream before its end, in ms since 1970. */
  leftAt?: number
}

export class MatrixProvider implements AsyncDisposable {
  readonly seen = new Map<string, Seen>()
  readonly #provider: FakeProvider

  private constructor(provider: FakeProvider, vendor: Vendor, answers: Answers) {
    this.#provider = provider
    provider.does((response, received) => this.#answer(vendor, answers)(response, received))
  }

  static async open(vendor: Vendor, answers: Answers): Promise<MatrixProvider> {
    return new MatrixProvider(await FakeProvider.open(), vendor, answers)
  }

  get url(): string {
    return this.#provider.url
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#provider.close()
  }

  #answer(vendor: Vendor, answers: Answers): Script {
    return (response, received) => {
      const cell = /cell (\w+)/.exec(received.body)?.[1]
      const fault = faultOf(vendor, received)
      if (fault) return sends(...fault)(response)
      if (!cell) return plays({ text: ['Hello.'] })(response, known(received))
      const seen = this.seen.get(cell) ?? { requests: 0 }
      this.seen.set(cell, seen)
      seen.requests += 1
      if (cell === '402') return sends(402, JSON_TYPE, failure('insufficient_quota'))(response)
      if (cell === '429' && seen.requests === 1) {
        return sends(429, { ...JSON_TYPE, 'retry-after': '1' }, failure('rate_limit_exceeded'))(response)
      }
      if (cell === 'cancel') {
        received.hungUp.then((left) => {
          if (left) seen.leftAt = Date.now()
        })
        return plays(ENDLESS)(response, known(received))
      }
      return plays(turnOf(cell, received, answers))(response, known(received))
    }
  }
}

const JSON_TYPE = { 'content-type': 'application/json' }
const failure = (code: string) => ({ type: 'error', error: { type: code, code, message: `the provider says ${code}` } })

/** The format is known by the end of the path; what stands before it is the vendor's. */
function known(received: Received): Received {
  const { pathname } = new URL(received.url, 'http://provider')
  const end = /(chat\/completions|responses|messages|embeddings|models)$/.exec(pathname)
  return { ...received, url: end ? `/v1/${end[1]}` : pathname }
}

function turnOf(cell: string, { body }: Received, { says = (text) => text, calls = CALL, ends = WARM }: Answers): Turn {
  if (cell !== 'tools') return { text: pieces(says(LEAK)) }
  return body.includes('4 degrees in Oslo') ? ends : calls
}

/** In such pieces that an address is cut. */
const pieces = (text: string): string[] => text.match(/.{1,11}/gs) ?? []

type Fault = [number, Record<string, string>, object]

/** What the real ones refuse. */
function faultOf(vendor: Vendor, { headers, body, method }: Received): Fault | undefined {
  const key = headers['api-key'] ?? headers['x-api-key'] ?? headers.authorization?.replace(/^Bearer /, '')
  if (key !== keyOf(vendor)) return [401, JSON_TYPE, failure('invalid_api_key')]
  if (method !== 'POST') return undefined
  const asked = JSON.parse(body || '{}') as Record<string, unknown>
  const missing = vendor === 'anthropic' && !asked.max_tokens && 'max_tokens: Field required'
  const extra = vendor === 'mistral' && 'stream_options' in asked && 'stream_options: Extra inputs are not permitted'
  const large = Number(asked.max_tokens ?? asked.max_completion_tokens ?? 0) > 16_384 && 'max_tokens is too large'
  const why = missing || extra || large
  return why ? [vendor === 'mistral' ? 422 : 400, JSON_TYPE, failure(why)] : undefined
}
