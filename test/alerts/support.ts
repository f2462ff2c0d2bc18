/** A state with alerts over a real database, and the places alerts go to: a real SMTP server, a real HTTP receiver. */

import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { Alerts } from '../../src/alerts/alerts.ts'
import type { RetryPolicy } from '../../src/alerts/channel.ts'
import { type Config, configSchema } from '../../src/config/schema.ts'
import { type Clock, systemClock } from '../../src/core/clock.ts'
import type { EventOf, EventType, NewEvent, RuntimeEvent } from '../../src/core/events.ts'
import { toAgentId, toCallId } from '../../src/core/ids.ts'
import { openStore, type Store } from '../../src/db/store.ts'
import { StateManager } from '../../src/state/state-manager.ts'

type AlertsInput = {
  email?: { to: string | string[]; from: string; smtp_url: string; events?: string[] }
  webhooks?: object[]
}

/** Quick retries: 37 minutes of retries end within a second here. An attempt that goes well takes its time. */
export const QUICK: RetryPolicy = { attempts: 4, attemptMs: 600_000, backoffMs: 5, closeMs: 2_000 }

export interface World extends AsyncDisposable {
  state: StateManager
  alerts: Alerts
  store: Store
  faults: unknown[]
  /** Everything recorded since the start of this world. */
  events: RuntimeEvent[]
  record(event: NewEvent): void
  /** The `count`-th event of a type, whether it has come already or not. */
  seen<T extends EventType>(type: T, count?: number): Promise<EventOf<T>>
}

export interface WorldOptions {
  retryPolicy?: RetryPolicy
  path?: string
  clock?: Clock
}

export function openWorld(
  input: AlertsInput = {},
  { retryPolicy = QUICK, path = ':memory:', clock = systemClock }: WorldOptions = {},
): World {
  const faults: unknown[] = []
  const onFault = (error: unknown) => void faults.push(error)
  const config: Config['alerts'] = configSchema.parse({ alerts: input }).alerts
  const store = openStore({ path })
  const state = new StateManager({ store, clock, retentionDays: 7, onFault })
  const events: RuntimeEvent[] = []
  const waiting = new Set<() => void>()
  state.subscribe((event) => {
    events.push(event)
    for (const look of waiting) look()
  })
  const alerts = new Alerts({ store, state, clock, config, onFault, retryPolicy })
  return {
    state,
    alerts,
    store,
    faults,
    events,
    record: (event) => state.record(event),
    async seen<T extends EventType>(type: T, count = 1) {
      const found = () => events.filter((event): event is EventOf<T> => event.type === type)[count - 1]
      await until(waiting, () => found() !== undefined)
      return found()!
    },
    async [Symbol.asyncDispose]() {
      await alerts.close()
      state.close()
      store.close()
    },
  }
}

export const circuitOpened: NewEvent = {
  type: 'circuit.opened',
  level: 'CRIT',
  agent_id: toAgentId('lg-7a3f9c2d'),
  message: 'Circuit OPEN for linkedin_api',
  data: {
    circuit: 'linkedin_api',
    failures: 5,
    cooldown_ms: 1_800_000,
    reason: '429 Too Many Requests',
    tier: 2,
  },
}

export const piiFound = (unit: string | null = 'lead 67'): NewEvent & { type: 'pii.found' } => ({
  type: 'pii.found',
  level: 'CRIT',
  agent_id: toAgentId('lg-7a3f9c2d'),
  message: 'EMAIL in reply',
  data: {
    incident_id: 'pii-1',
    pii_type: 'email',
    risk: 'HIGH',
    action: 'redact',
    place: 'reply',
    call_id: toCallId('call-1'),
    value_hash: 'c0ffee',
    start: 10,
    end: 26,
    unit,
  },
})

export interface Mailbox extends AsyncDisposable {
  url: string
  /** Each message as it came over the wire. */
  messages: string[]
}

/** `refuse`: the server's reply to a recipient. */
export async function openMailbox({ refuse }: { refuse?: string } = {}): Promise<Mailbox> {
  const messages: string[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo: (_address, _session, callback) => callback(refuse ? new Error(refuse) : null),
    onData(stream, _session, callback) {
      let message = ''
      stream.on('data', (chunk: Buffer) => {
        message += chunk
      })
      stream.on('end', () => {
        messages.push(message)
        callback()
      })
    },
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.server.address() as AddressInfo
  return {
    url: `smtp://127.0.0.1:${port}`,
    messages,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())),
  }
}

export interface Hanging extends AsyncDisposable {
  /** host:port of a server that accepts connections and never answers. */
  host: string
  connections: number
  /** Resolves when the other sides have closed all of them. */
  left(): Promise<void>
}

export async function openHanging(): Promise<Hanging> {
  const sockets = new Set<Socket>()
  const waiting = new Set<() => void>()
  const server = createTcpServer((socket) => {
    hanging.connections++
    sockets.add(socket)
    socket
      .resume()
      .on('error', () => {})
      .on('close', () => {
        sockets.delete(socket)
        for (const look of waiting) look()
      })
  })
  const hanging: Hanging = {
    host: await listen(server),
    connections: 0,
    left: () => until(waiting, () => sockets.size === 0),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return hanging
}

export interface Received {
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Receiver extends AsyncDisposable {
  url: string
  requests: Received[]
  /** Answers with these statuses from now on, with the last one for ever. */
  answerWith(...statuses: number[]): void
  /** Resolves when that many requests have come. */
  got(count: number): Promise<void>
}

export async function openReceiver(answers = [200], headers: Record<string, string> = {}): Promise<Receiver> {
  const requests: Received[] = []
  const waiting = new Set<() => void>()
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk
    })
    request.on('end', () => {
      requests.push({ path: request.url ?? '', headers: request.headers, body })
      const status = answers.length > 1 ? answers.shift()! : answers[0]!
      response.writeHead(status, headers).end('thanks')
      for (const look of waiting) look()
    })
  })
  return {
    url: `http://${await listen(server)}/hook`,
    requests,
    answerWith: (...next) => {
      answers = next
    },
    got: (count) => until(waiting, () => requests.length >= count),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Resolves when `isSo`; every change of its state calls the functions in `waiting`. */
const until = (waiting: Set<() => void>, isSo: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    const look = () => {
      if (!isSo()) return
      waiting.delete(look)
      resolve()
    }
    waiting.add(look)
    look()
  })

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}
