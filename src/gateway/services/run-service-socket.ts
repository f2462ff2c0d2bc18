/**
 * One WebSocket of an agent to a service: priced at its handshake, then relayed message by message.
 *
 * The rules are:
 * - The handshake is a service call: the same circuit, hold, headers and record. Only then does the agent get its 101.
 * - Both sides agree on no compression. Text is redacted in the directions that the service names; binary is not read.
 * - A message waits until the one before it was sent on, so that a slow reader holds its sender back.
 */
import { on } from 'node:events'
import { type IncomingMessage, Agent as PlainAgent } from 'node:http'
import { Agent as TlsAgent } from 'node:https'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type RawData, WebSocket, WebSocketServer } from 'ws'
import { PiiBlockedError } from '../../core/errors.ts'
import type { Network } from '../../core/http-pools.ts'
import {
  answerWhole,
  callLive,
  endCall,
  openCall,
  type ServiceCall,
  type ServiceClient,
  type ServiceRoad,
} from './run-service-call.ts'
import { broken, forwardedHeaders, type LiveAnswer, refused, type ServiceAttempt, timedOut } from './service-attempt.ts'

/** A connection whose client asked for a WebSocket. */
export interface Upgraded {
  request: IncomingMessage
  socket: Duplex
  head: Buffer
  /** Takes the connection from what would answer it over HTTP. */
  detach: () => void
}

/** The largest message, as the largest reply that is redacted as a whole. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
/** Messages that wait before their sender is paused. */
const WAITING = 16
const SWITCHING = 101
const [POLICY_VIOLATION, NO_STATUS, CUT, FAILED] = [1008, 1005, 1006, 1011]
const NOTHING = Buffer.alloc(0)

/** Throws like `runServiceCall` until the client has its answer, and ends with the connection. */
export async function runServiceSocket(
  road: ServiceRoad,
  call: ServiceCall,
  client: ServiceClient,
  upgraded: Upgraded,
): Promise<void> {
  const open = await openCall(road, call)
  let service: WebSocket | undefined
  const live = await callLive(road, call, open, async (attempt) => {
    const opened = await handshake(attempt, road.network)
    if (!(opened instanceof WebSocket)) return opened
    service = opened
    return { status: SWITCHING, headers: {}, body: NOTHING, rest: none() }
  })
  if (!service) return answerWhole(road, call, open, live, client)
  live.permit?.succeeded()
  await endCall(road, call, open, live, undefined, open.cost)
  upgraded.detach()
  const agent = accept(upgraded, service)
  if (!agent) return service.terminate()
  await Promise.all([
    pass(agent, service, (text) => open.texts.message('requests', text)),
    pass(service, agent, (text) => open.texts.message('replies', text)),
  ])
}

async function* none(): AsyncGenerator<Buffer> {}

/** Returns the open connection, or the service's own refusal. Throws AttemptFailed, or the signal's reason. */
function handshake(attempt: ServiceAttempt, network: Network): Promise<WebSocket | LiveAnswer> {
  const { url, headers, clock, timeoutMs, signal, onStatus } = attempt
  const protocols = headers['sec-websocket-protocol']?.split(',').map((name) => name.trim()) ?? []
  const own = Object.entries(forwardedHeaders(attempt)).filter(([name]) => !name.startsWith('sec-websocket-'))
  const socket = new WebSocket(url, protocols, {
    headers: Object.fromEntries(own),
    agent: agentFor(url, network),
    ...{ perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES, followRedirects: false },
  })
  return new Promise((resolve, reject) => {
    const settle = (act: () => void) => {
      timer.cancel()
      signal.removeEventListener('abort', leave)
      act()
    }
    const fail = (error: unknown) =>
      settle(() => {
        reject(error)
        socket.terminate()
      })
    const leave = () => fail(signal.reason)
    const timer = clock.after(timeoutMs, () => fail(timedOut(attempt, undefined)))
    signal.addEventListener('abort', leave, { once: true })
    socket.on('error', (error) => fail(broken(attempt, undefined, error)))
    socket.once('open', () => {
      // What it sends at once waits for its reader.
      socket.pause()
      onStatus(SWITCHING)
      settle(() => resolve(socket))
    })
    socket.once('unexpected-response', (_, response) => {
      const status = response.statusCode!
      onStatus(status)
      buffer(response).then((body) => {
        const answer = { status, headers: response.headers, body }
        if (status === 429 || status >= 500) fail(refused(attempt, answer))
        else settle(() => resolve(answer))
      }, fail)
    })
  })
}

/** A connection of its own, through the user's proxy and with its certificates. */
function agentFor({ protocol }: URL, { ca, httpProxy, httpsProxy, noProxy }: Network): PlainAgent {
  const proxyEnv = { HTTP_PROXY: httpProxy, HTTPS_PROXY: httpsProxy, NO_PROXY: noProxy }
  return protocol === 'https:' ? new TlsAgent({ proxyEnv, ...(ca && { ca }) }) : new PlainAgent({ proxyEnv })
}

/** Completes the agent's handshake; undefined if it has left. */
function accept({ request, socket, head }: Upgraded, { protocol }: WebSocket): WebSocket | undefined {
  const server = new WebSocketServer({
    ...{ noServer: true, clientTracking: false, perMessageDeflate: false, maxPayload: MAX_MESSAGE_BYTES },
    handleProtocols: () => protocol || false,
  })
  let agent: WebSocket | undefined
  server.handleUpgrade(request, socket, head, (opened) => {
    agent = opened
  })
  return agent
}

/** Sends messages on until their sender closes; then the other side closes in the same way. */
async function pass(from: WebSocket, to: WebSocket, redact: (text: string) => Promise<string>): Promise<void> {
  let end: [code: number, reason: Buffer | string] = [CUT, '']
  from.on('close', (code, reason) => {
    end = [code, reason]
  })
  const messages = on(from, 'message', { close: ['close'], highWaterMark: WAITING, lowWaterMark: 1 })
  try {
    from.resume()
    for await (const [data, isBinary] of messages as AsyncIterable<[RawData, boolean]>) {
      await send(to, isBinary ? data : await redact(String(data)))
    }
  } catch (error) {
    end = error instanceof PiiBlockedError ? [POLICY_VIOLATION, error.code] : [FAILED, '']
    from.close(...end)
  }
  const [code, reason] = end
  if (code === CUT) to.terminate()
  else if (code === NO_STATUS) to.close()
  else to.close(code, reason)
}

const send = (to: WebSocket, data: RawData | string): Promise<void> =>
  new Promise((resolve, reject) => to.send(data, (error) => (error ? reject(error) : resolve())))
