/** The client's side of a call: its socket, seen as what the road needs of it. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Clock, Timer } from '../clock.ts'
import { CageError } from '../errors.ts'
import { ByteCollector, free } from './bodies/bytes.ts'

export class Client {
  readonly #response: ServerResponse
  readonly #clock: Clock
  readonly #gone = new AbortController()
  #timer: Timer | undefined

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response
    this.#clock = clock
    response.once('close', () => {
      this.#timer?.cancel()
      if (!response.writableFinished) this.#gone.abort(new ClientGone())
    })
  }

  /** Ends the call when it takes longer than `ms` in all: the signal fires with this error. */
  limit(ms: number, error: () => Error): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(ms, () => this.cancel(error())).unref()
  }

  /** Ends the call: the signal fires with this error, which is its answer as long as none has begun. */
  cancel(error: Error): void {
    this.#gone.abort(error)
  }

  get isGone(): boolean {
    return this.#gone.signal.reason instanceof ClientGone
  }

  /** Fires when the client hangs up before it has its answer, and when the call is cancelled. */
  get signal(): AbortSignal {
    return this.#gone.signal
  }

  /** True once a byte of an answer went out: from then on an error is a frame, not a status. */
  get hasBegun(): boolean {
    return this.#response.headersSent
  }

  onceClosed(listener: () => void): void {
    this.#response.once('close', listener)
  }

  /** Ends the connection, whatever was answered so far. */
  hangUp(): void {
    this.#response.destroy()
  }

  /** The body is the client's from now on. */
  send(status: number, headers: OutgoingHttpHeaders, body: Buffer | string): void {
    if (this.isGone) return free(body)
    this.#response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
    this.#response.end(body)
    this.#response.once('finish', () => free(body))
  }

  /** Sends the headers of a streamed answer at once: its first byte must not wait for more. */
  begin(status: number, headers: Record<string, string>): void {
    this.#response.socket?.setNoDelay(true)
    this.#response.writeHead(status, headers)
    this.#response.flushHeaders()
  }

  /** Writes to a streamed answer; resolves when a slow reader has caught up, throws ClientGone when it left. */
  async write(text: string): Promise<void> {
    this.signal.throwIfAborted()
    if (this.#response.write(text)) return
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => () => {
        this.#response.off('drain', drained)
        this.signal.removeEventListener('abort', left)
        act()
      }
      const drained = settle(resolve)
      const left = settle(() => reject(this.signal.reason))
      this.#response.once('drain', drained)
      this.signal.addEventListener('abort', left, { once: true })
    })
  }

  end(text = ''): void {
    this.#response.end(text)
  }
}

/** The client hung up. No fault of anybody's: counts for no circuit, is answered to nobody. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
  constructor() {
    super('the client hung up')
  }
}

/** Reads a request's body up to `limit` bytes. Throws CageError `body_too_large`, or `bad_request` for a cut one. */
export function readBody(request: IncomingMessage, limit: number): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0)
  // By events: to iterate over a stream costs more than to read it.
  return new Promise((resolve, reject) => {
    if (declared > limit) return reject(tooLarge(limit))
    const collected = new ByteCollector(limit)
    let isOver = false
    request.on('data', (chunk: Buffer) => {
      isOver ||= collected.size + chunk.length > limit
      if (!isOver) return collected.push(chunk)
      // The rest goes by: the client must still get an answer.
      collected.clear()
      reject(tooLarge(limit))
    })
    request.on('end', () => resolve(collected.take()))
    const brokeOff = (cause?: Error) => {
      collected.clear()
      reject(new CageError('bad_request', "the request's body ended early", { cause: cause ?? request.errored }))
    }
    request.on('error', brokeOff)
    request.on('close', () => request.readableEnded || brokeOff())
    if (request.destroyed) brokeOff()
  })
}

const tooLarge = (limit: number): CageError =>
  new CageError('body_too_large', `the request's body is larger than ${limit} bytes`, { facts: { limit_bytes: limit } })
