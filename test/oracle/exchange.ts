/** One honest exchange: a request, and a provider's answer, to the byte. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { Dice } from './dice.ts'

/** As a kind of traffic is called in reports. */
export type Liberty = string

export interface Answer {
  status: number
  headers: Record<string, string>
  /** As they are written to the connection. */
  chunks: Buffer[]
}

export interface Exchange {
  seed: number
  /** Of the cage's configuration. */
  provider: string
  /** Below the provider's address. */
  path: string
  headers: Record<string, string>
  body: { [name: string]: unknown }
  isStream: boolean
  /** How the answer is framed. */
  framing: 'json' | 'sse' | 'lines'
  /** `request`: as it arrived, which may ask for more than the client did. */
  answer: (request: { stream_options?: { include_usage?: boolean } }) => Answer
  /** In nanodollars by the usage that the provider reports, at the prices of the cage's configuration; undefined without one. */
  cost: number | undefined
  /** The deviations of this server from the others. */
  liberties: Liberty[]
}

/** In nanodollars a token. */
export const PRICES = { input: 1_000, cached: 100, output: 4_000 }

/** Notes which liberties an exchange takes. */
export class Liberties {
  readonly taken: Liberty[] = []
  readonly #dice: Dice

  constructor(dice: Dice) {
    this.#dice = dice
  }

  take(share: number, name: Liberty): boolean {
    const isTaken = this.#dice.chance(share)
    if (isTaken) this.taken.push(name)
    return isTaken
  }
}

/** One event of a stream. `data`: the JSON. */
export interface Frame {
  event?: string
  data: string
}

const ENCODINGS = { gzip: gzipSync, br: brotliCompressSync, deflate: deflateSync }

/** The form of a server's answers; decided once, since it answers twice: without the cage and in it. */
export class Wire {
  readonly #status: number
  readonly #headers: Record<string, string>
  readonly #encoding: keyof typeof ENCODINGS | undefined
  readonly #newline: string
  readonly #space: string
  readonly #start: string
  readonly #isSplit: boolean
  readonly #hasIds: boolean
  readonly #hasEnd: boolean
  readonly #type: string
  readonly #seed: number

  constructor(dice: Dice, liberties: Liberties, framing: Exchange['framing'], status = 200) {
    const isSse = framing === 'sse'
    this.#status = status
    this.#headers = { 'x-request-id': `req-${dice.number(1, 1_000_000)}` }
    this.#encoding = liberties.take(0.06, 'compressed') ? dice.pick(['gzip', 'br', 'deflate'] as const) : undefined
    this.#newline = isSse && liberties.take(0.1, 'CRLF') ? '\r\n' : '\n'
    this.#space = isSse && liberties.take(0.1, 'no space after data:') ? '' : ' '
    const bom = isSse && liberties.take(0.05, 'BOM') ? '\ufeff' : ''
    const comment = isSse && liberties.take(0.1, 'comment') ? `: OPENROUTER PROCESSING${this.#newline.repeat(2)}` : ''
    this.#start = bom + comment
    this.#isSplit = isSse && liberties.take(0.05, 'data in several lines')
    this.#hasIds = isSse && liberties.take(0.05, 'ids')
    this.#hasEnd = !(isSse && liberties.take(0.15, 'no [DONE]'))
    this.#type = isSse && liberties.take(0.15, 'odd content type') ? dice.pick(ODD_TYPES) : TYPES[framing]
    this.#seed = dice.number(1, 1_000_000_000)
  }

  json(text: string): Answer {
    return this.#answer(text)
  }

  lines(frames: readonly Frame[]): Answer {
    return this.#answer(frames.map(({ data }) => `${data}\n`).join(''))
  }

  /** `end`: the frame after the last one, as `[DONE]`; left out as a liberty. */
  sse(frames: readonly Frame[], end?: string): Answer {
    const newline = this.#newline
    const pieces = frames.map(({ event, data }, index) => {
      // A new line may stand where JSON has a space.
      const parts = this.#isSplit ? data.replace(/^\{/, '{\n').split('\n') : [data]
      return [
        ...(event === undefined ? [] : [`event: ${event}`]),
        ...(this.#hasIds ? [`id: ${index}`] : []),
        ...parts.map((part) => `data:${this.#space}${part}`),
        newline,
      ].join(newline)
    })
    const last = end !== undefined && this.#hasEnd ? `data:${this.#space}${end}${newline}${newline}` : ''
    return this.#answer(this.#start + pieces.join('') + last)
  }

  #answer(text: string): Answer {
    const body = Buffer.from(text)
    const bytes = this.#encoding ? ENCODINGS[this.#encoding](body) : body
    const encoding = this.#encoding && { 'content-encoding': this.#encoding }
    return {
      status: this.#status,
      headers: { 'content-type': this.#type, ...this.#headers, ...encoding },
      chunks: chunksOf(new Dice(this.#seed), bytes),
    }
  }
}

const TYPES = { json: 'application/json', sse: 'text/event-stream', lines: 'application/x-ndjson' }
const ODD_TYPES = ['application/json', 'text/plain', 'text/event-stream; charset=utf-8', 'application/octet-stream']

/** The connection's chunks, cut anywhere. */
function chunksOf(dice: Dice, bytes: Buffer): Buffer[] {
  const chunks: Buffer[] = []
  const size = Math.max(1, Math.ceil(bytes.length / dice.number(1, 6)))
  for (let at = 0; at < bytes.length; ) {
    const length = dice.number(1, size * 2)
    chunks.push(bytes.subarray(at, at + length))
    at += length
  }
  return chunks
}
