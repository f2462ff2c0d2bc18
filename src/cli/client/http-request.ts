/**
 * One HTTP request of a command. Not `fetch`, which Node loads at its first use: that takes longer than the rest of most
 * commands. Redirects are replies like others.
 */
import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { text } from 'node:stream/consumers'

export interface HttpRequest {
  method: string
  headers: Readonly<Record<string, string>>
  /** (Default: none.) */
  body: string | undefined
  /** For the whole reply. */
  timeoutMs: number
}

export interface HttpReply {
  status: number
  /** Its `content-type`; empty without one. */
  type: string
  text: string
}

/** How long connecting may take, in ms. */
const CONNECT_TIMEOUT_MS = 10_000

/** The time was over before the reply was there. */
export class HttpTimeoutError extends Error {}

/** Throws HttpTimeoutError, and what `node:http` throws: errors of the system with their `code`. */
export async function sendRequest(url: string, { timeoutMs, body, ...options }: HttpRequest): Promise<HttpReply> {
  const send = url.startsWith('https:') ? (await import('node:https')).request : request
  const signal = AbortSignal.timeout(timeoutMs)
  try {
    const sent = send(url, { ...options, signal })
    const arrived = once(sent, 'response') as Promise<[IncomingMessage]>
    giveUpConnecting(sent)
    // What breaks later also breaks the reply.
    sent.on('error', () => undefined).end(body)
    const [reply] = await arrived
    return { status: reply.statusCode!, type: reply.headers['content-type'] ?? '', text: await text(reply) }
  } catch (error) {
    throw signal.aborted ? new HttpTimeoutError(undefined, { cause: error }) : error
  }
}

/** As the system does, which waits for two minutes: with its error. */
function giveUpConnecting(sent: ClientRequest): void {
  const error = Object.assign(new Error('connect ETIMEDOUT'), { code: 'ETIMEDOUT', syscall: 'connect' })
  const timer = setTimeout(() => sent.destroy(error), CONNECT_TIMEOUT_MS)
  const done = () => clearTimeout(timer)
  sent.once('close', done).once('socket', (socket) => (socket.connecting ? socket.once('connect', done) : done()))
}
