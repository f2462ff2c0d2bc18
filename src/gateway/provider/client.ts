/** The client's side of a call: its socket, reduced to a call's needs. */
import type { IncomingMessage, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { Clock, Timer } from '../../core/clock.ts'
import { CageError } from '../../core/errors.ts'
import { ByteCollector, free, LARGE_BYTES } from '../bodies/bytes.ts'
import type { HeldBytes } from '../bodies/held-bytes.ts'

export class ClientConnection {
  /** Room for the large bodies of the call. */
  held: HeldBytes = NOTHING_HELD
  readonly #response: ServerResponse
  readonly #clock: Clock
  readonly #gone = new AbortController()
  #isBehind = false
  #timer: Timer | undefined
  #onSent: ((piece: Buffer | string) => void) | undefined

  constructor(response: ServerResponse, clock: Clock) {
    this.#response = response
    this.#clock = clock
    response.once('close', () => {
      this.#timer?.cancel()
      if (!response.writableFinished) this.#gone.abort(new ClientGone())
    })
  }

  /** Ends the call when it takes longer than `ms` in total: the signal fires with this error. */
  limit(ms: number, error: () => Error): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.after(ms, () => this.cancel(error())).unref()
  }

  /** Ends the call: the signal fires with this error, which is also the response if none has begun. */
  cancel(error: Error): void {
    this.#gone.abort(error)
  }

  get isGone(): boolean {
    return this.#gone.signal.reason instanceof ClientGone
  }

  /** True while the client has unread data. */
  get isBehind(): boolean {
    return this.#isBehind
  }

  /** Fires when the client hangs up before its response ends, and when the call is cancelled. */
  get signal(): AbortSignal {
    return this.#gone.signal
  }

  /** True once a byte was sent: from then on an error is a frame, not a status. */
  get hasBegun(): boolean {
    return this.#response.headersSent
  }

  /** Of the response, once it has begun. */
  get status(): number {
    return this.#response.statusCode
  }

  /** Calls the listener with everything that is sent from now on; replaces an earlier listener. */
  watch(onSent: (piece: Buffer | string) => void): void {
    this.#onSent = onSent
  }

  /** Calls the listener when the exchange is over, whether it was answered or not. */
  onceClosed(listener: () => void): void {
    if (this.#response.closed) listener()
    else this.#response.once('close', listener)
  }

  /** Closes the connection at once. */
  hangUp(): void {
    this.#response.destroy()
  }

  /** Takes ownership of the body. */
  send(status: number, headers: OutgoingHttpHeaders, body: Buffer | string): void {
    if (this.isGone) return free(body)
    this.#onSent?.(body)
    this.#response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body) })
    this.#response.end(body)
    if (body.length >= LARGE_BYTES) this.#response.once('finish', () => free(body))
  }

  /** Sends the headers of a streamed response at once, so that its first byte waits for nothing. */
  begin(status: number, headers: OutgoingHttpHeaders): void {
    this.#response.socket?.setNoDelay(true)
    this.#response.writeHead(status, headers)
    this.#response.flushHeaders()
  }

  /** Writes to a streamed response; resolves when a slow reader has caught up, throws ClientGone when it left. */
  async write(piece: string | Buffer): Promise<void> {
    this.signal.throwIfAborted()
    this.#onSent?.(piece)
    if (this.#response.write(piece)) return
    this.#isBehind = true
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => () => {
        this.#response.off('drain', drained)
        this.signal.removeEventListener('abort', left)
        act()
      }
      const drained = settle(() => {
        this.#isBehind = false
        resolve()
      })
      const left = settle(() => reject(this.signal.reason))
      this.#response.once('drain', drained)
      this.signal.addEventListener('abort', left, { once: true })
    })
  }

  end(text: string | Buffer = ''): void {
    this.#response.end(text)
  }
}

/** Of a client that is not identified yet. */
const NOTHING_HELD: HeldBytes = { growTo: () => undefined, waitFor: () => Promise.resolve(), release: () => undefined }

/** The client hung up. Not an error of any party: counts against no circuit and has no response. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone'
  constructor() {
    super('the client hung up')
  }
}

/**
 * Reads a request's body up to `limit` bytes. Throws CageError `body_too_large`, `bad_request` for a cut one, and
 * `too_many_streams` when there is no room for a large one.
 */
export function readBody(request: IncomingMessage, limit: number, held: Pick<HeldBytes, 'growTo'>): Promise<Buffer> {
  const declared = Number(request.headers['content-length'] ?? 0)
  // By events: async iteration over a stream costs more than reading it.
  return new Promise((resolve, reject) => {
    if (declared > limit) return reject(bodyTooLarge(limit))
    const collected = new ByteCollector(limit)
    let isOver = false
    // The rest is discarded, so that the client still gets a response.
    const refuse = (error: unknown) => {
      isOver = true
      collected.clear()
      reject(error)
    }
    request.on('data', (chunk: Buffer) => {
      if (isOver) return
      if (collected.size + chunk.length > limit) return refuse(bodyTooLarge(limit))
      collected.push(chunk)
      if (!collected.isLarge) return
      takeTurns(request)
      try {
        held.growTo(collected.size)
      } catch (error) {
        refuse(error)
      }
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

/** Reads the next chunk in another turn of the event loop: a fast connection delivers megabytes in one. */
function takeTurns(request: IncomingMessage): void {
  request.pause()
  setImmediate(() => request.resume())
}

/** For a request's body. */
export const bodyTooLarge = (limit: number): CageError =>
  new CageError('body_too_large', `the request's body is larger than ${limit} bytes`, { facts: { limit_bytes: limit } })
