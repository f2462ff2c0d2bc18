/** The body of a response as it arrives, decoded: some servers compress although `identity` was requested. */
import type { IncomingHttpHeaders } from 'node:http'
import type { Transform } from 'node:stream'
import type { Clock } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { decoderFor, isEncoded } from '../bodies/decode.ts'
import { AnswerBody, type Source } from './answer-body.ts'

/** The connection's signals to a body. */
export type BodyReceiver = Pick<AnswerBody, 'push' | 'end'>

/** Returns a body to read, its headers once it is decoded, and the receiver of what arrives. */
export function openBody(
  headers: IncomingHttpHeaders,
  source: Source,
  clock: Clock,
): { headers: IncomingHttpHeaders; body: AnswerBody; receiver: BodyReceiver } {
  const { 'content-encoding': encoding, 'content-length': _length, ...decoded } = headers
  const isRead = isEncoded(encoding)
  if (isRead === false) {
    const body = new AnswerBody(source, clock)
    return { headers, body, receiver: body }
  }
  const receiver = new DecodedBody(encoding!, source, clock)
  if (isRead === undefined) receiver.end(invalid(`is encoded as "${encoding}", which is not read here`))
  return { headers: decoded, body: receiver.body, receiver }
}

/** Decodes no more than is read: however much a few bytes expand to, little of it is in memory. */
class DecodedBody implements BodyReceiver {
  readonly body: AnswerBody
  readonly #encoding: string
  readonly #source: Source
  #decoder: Transform | undefined

  constructor(encoding: string, source: Source, clock: Clock) {
    this.#encoding = encoding
    this.#source = source
    const decoded: Source = {
      pause: () => this.#decoder?.pause(),
      resume: () => this.#decoder?.resume(),
      abort: (reason) => source.abort(reason),
    }
    this.body = new AnswerBody(decoded, clock)
  }

  push(chunk: Buffer): void {
    this.#decoder ??= this.#start(chunk)
    if (this.#decoder.write(chunk)) return
    this.#source.pause()
    this.#decoder.once('drain', () => this.#source.resume())
  }

  end(error?: Error): void {
    if (error || !this.#decoder) {
      this.#decoder?.destroy()
      this.body.end(error)
    } else this.#decoder.end()
  }

  #start(chunk: Buffer): Transform {
    return decoderFor(this.#encoding, chunk)
      .on('data', (piece: Buffer) => this.body.push(piece))
      .on('end', () => this.body.end())
      .on('error', (cause) => {
        const error = invalid(`is not valid ${this.#encoding}`, cause)
        this.body.end(error)
        this.#source.abort(error)
      })
  }
}

const invalid = (what: string, cause?: Error): CageError =>
  new CageError('provider_reply_invalid', `the reply of the provider ${what}`, { cause })
